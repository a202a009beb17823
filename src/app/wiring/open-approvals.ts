/** The calls of a gateway that wait for a person (`policy.approve_above_usd`). */
import type { RandomBytes } from '../../core/ids.ts'
import { systemTimers } from '../../core/timers.ts'
import { Approvals } from '../approvals/approvals.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import type { Notifier } from '../notify/notifier.ts'
import type { NotifierSetup } from './open-notifier.ts'

/** What {@link openApprovals} works with. */
export interface ApprovalsSetup extends Omit<NotifierSetup, 'settings'> {
  /** In force. */
  readonly settings: () => Pick<ResolvedConfig, 'approval' | 'notify' | 'listen'>
  readonly notifier: Notifier
  readonly random: RandomBytes
}

/** Opens them; nothing waits before a call needs approval. */
export function openApprovals({ settings, timers = systemTimers, ...context }: ApprovalsSetup): Approvals {
  return new Approvals({
    ...context,
    timers,
    rules: () => settings().approval,
    page: () => pageOf(settings()),
  })
}

/** Where a person decides: as configured, or at the gateway's own address. */
function pageOf({ notify, listen }: Pick<ResolvedConfig, 'notify' | 'listen'>): string {
  if (notify?.page !== undefined) return notify.page
  const everywhere: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }
  const host = everywhere[listen.host] ?? listen.host
  return `http://${host.includes(':') ? `[${host}]` : host}:${listen.port}/dashboard`
}
