/**
 * Detects an old ledger that was restored, e.g. from a backup. Its audit files record payments that it does not
 * contain, and its budgets would allow that money to be spent again.
 */
import { ConfigError } from '../../core/errors.ts'
import { formatUsd, parseUsd } from '../../core/money/money.ts'
import { signedCharges, type RecordedCharge } from '../../io/audit/audit-charges.ts'
import type { ForgottenCharge } from '../../io/ledger/restore-forgotten-charge.ts'
import { shownStore } from '../../io/ledger/open-store.ts'
import type { Store } from '../../io/store/store.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { auditFilesOf } from './audit-files.ts'

type Reading = Pick<Store, 'auditHeads' | 'charge'>

/**
 * Payments that were signed according to the audit files but not according to the ledger. Cheap: only the part of
 * each audit file after the position noted in the ledger is read.
 * @throws ConfigError when an audit file is damaged at the end
 */
export async function forgottenCharges(
  config: Pick<ResolvedConfig, 'audit'>,
  store: Reading,
): Promise<ForgottenCharge[]> {
  const noted = new Map((await store.auditHeads()).map(({ file, seq }) => [file, seq]))
  const files = auditFilesOf(config.audit.path, [...noted.keys()])
  const signed = await signedCharges(files.map((path) => ({ path, after: noted.get(path) ?? 0 })))
  const forgotten: ForgottenCharge[] = []
  for (const [id, recorded] of signed) {
    const charge = await store.charge(id)
    const gaveBack = charge?.state === 'released' && !charge.authorization
    if (charge && charge.state !== 'held' && !gaveBack) continue
    forgotten.push({ ...recorded, id, known: !charge ? 'missing' : gaveBack ? 'released' : 'held' })
  }
  return forgotten
}

/**
 * Refuses a ledger that is older than its audit files.
 * @throws ConfigError with the total and the commands that fix it
 */
export async function refuseOldLedger(
  config: Pick<ResolvedConfig, 'store' | 'audit'>,
  store: Reading,
): Promise<void> {
  if (config.store === 'memory') return
  const forgotten = await forgottenCharges(config, store)
  if (forgotten.length === 0) return
  throw new ConfigError(
    `The ledger ${shownStore(config.store)} is older than the audit file ${config.audit.path}, which records ${sumOf(forgotten)} that the ledger does not know: its budgets would let that money be spent again. Nothing was paid. Run \`tollway backup restore --adopt-audit\` to add these payments to the ledger, or \`tollway backup restore --forget\` to go on without them.`,
  )
}

/** `2 payments ($0.003)`, plus the amounts of assets that have no USD value. */
export function sumOf(charges: readonly RecordedCharge[]): string {
  const usd = charges.reduce((sum, { fields }) => sum + (parseUsd(fields['usd']) ?? 0n), 0n)
  const unpriced = charges.filter(({ fields }) => parseUsd(fields['usd']) === undefined).length
  const count = charges.length === 1 ? '1 payment' : `${charges.length} payments`
  return `${count} ($${formatUsd(usd)}${unpriced === 0 ? '' : `, and ${unpriced} without a value in USD`})`
}
