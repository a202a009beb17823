/** `tollway reconcile`: checks every unresolved payment once, with or without a running gateway. */
import { randomBytes } from 'node:crypto'
import type { Log } from '../../core/log.ts'
import { NETWORKS } from '../../core/money/assets.ts'
import { systemClock } from '../../core/clock.ts'
import { ConfigError } from '../../core/errors.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import { isWritten } from '../../io/files/file-lock.ts'
import { thisInstance } from '../../io/ledger/instance.ts'
import { Ledger } from '../../io/ledger/ledger.ts'
import type { ReconcileReport } from '../../io/reconcile/reconciler.ts'
import { openExistingStore } from '../../io/ledger/open-store.ts'
import type { Flagged } from '../../io/store/contracts/flags.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { reconcileAuditPath } from '../wiring/audit-files.ts'
import { refuseOldLedger } from '../wiring/refuse-old-ledger.ts'
import { openAudit, watchAuditHead } from '../wiring/open-audit.ts'
import { chainLog, openReconciler } from '../wiring/open-reconciler.ts'

/** The result of one check. */
export interface ReconcileOutcome extends ReconcileReport {
  /** Networks with unresolved payments but no configured node, CAIP-2. */
  readonly unread: readonly string[]
  /** Payments that are still uncertain, on all networks. */
  readonly uncertain: { readonly count: number; readonly microUsd: bigint }
  /** The newest flags. */
  readonly flags: readonly Flagged[]
}

/**
 * Checks every unresolved payment once. Payments in flight in a living process are left alone.
 * @throws ConfigError without a ledger file or without a node
 * @throws TollwayError `store_unavailable`, `audit_unavailable`
 */
export async function reconcileOnce(
  config: Pick<ResolvedConfig, 'store' | 'audit' | 'assets' | 'chains' | 'payers' | 'policy' | 'reconcile'>,
  log: Log,
): Promise<ReconcileOutcome> {
  if (config.store === 'memory') {
    throw new ConfigError(
      'store: memory is lost when the gateway stops, so there is nothing to reconcile. Use sqlite:./tollway.db.',
    )
  }
  if (config.chains.size === 0) {
    throw new ConfigError(
      'chains: no node is configured, so nothing can be proven. Name one, such as chains: { base: { rpc: "${env:BASE_RPC}" } }.',
    )
  }
  const observers = [chainLog(log)]
  const ledger = await openLedger(config, observers, log)
  try {
    const reconciler = openReconciler({
      config,
      pins: (seller) => !config.policy.payTo.has(seller),
      ledger,
      paidNetworks: [],
      observers,
      log,
    })
    const report = await reconciler.run({ all: true })
    await reconciler.close()
    const { store } = ledger
    const unread: string[] = []
    for (const network of networksOf(config)) {
      if (config.chains.has(network)) continue
      if ((await store.unproven({ network, limit: 1 })).length > 0) unread.push(network)
    }
    return { ...report, unread, uncertain: await ledger.uncertainSum(), flags: await store.flags() }
  } finally {
    await ledger.close()
  }
}

/** The networks that there may be payments on: those with a token, those of the payers, and all with a name. */
function networksOf({ assets, payers }: Pick<ResolvedConfig, 'assets' | 'payers'>): Set<string> {
  return new Set([
    ...NETWORKS.map(({ id }) => id),
    ...assets.map(({ network }) => network),
    ...[...payers.values()].flatMap(({ networks }) => networks ?? []),
  ])
}

async function openLedger(
  config: Pick<ResolvedConfig, 'store' | 'audit'>,
  observers: readonly Observer[],
  log: Log,
): Promise<Ledger> {
  const opened: { close(): Promise<void> }[] = []
  const clock = systemClock
  try {
    const instance = thisInstance(clock)
    const own = { ...config.audit, path: auditPath(config.audit.path, instance.id) }
    const audit = await openAudit(own, clock, instance.id)
    opened.push(audit)
    const store = await openExistingStore(config.store)
    opened.push(store)
    await refuseOldLedger(config, store)
    const heads = await watchAuditHead(audit, own.path, store, { clock, log })
    const books = { store, audit, onClosing: () => heads.end() }
    return await Ledger.open({ ...books, clock, random: randomBytes, instance, observers })
  } catch (error) {
    await Promise.allSettled(opened.map((part) => part.close()))
    throw error
  }
}

/**
 * The gateway's audit file if no gateway writes it, so that a payment's history stays in one file; otherwise a file next to
 * it, because each audit file has a single writer. Both are signed and rotated as configured.
 */
function auditPath(path: string, instance: string): string {
  return isWritten(path, instance) ? reconcileAuditPath(path) : path
}
