import { CommanderError } from 'commander'
import { ConfigError, TollwayError, type ErrorCode } from '../../../core/errors.ts'
import { NoLedgerError } from '../../../io/store/no-ledger.ts'

/** What the exit code of every command means. */
export const EXIT = { done: 0, failed: 1, usage: 2, refused: 3, uncertain: 4 } as const

/** A value of {@link EXIT}. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** The exit codes, for the end of each help text. */
export const EXIT_CODES_HELP =
  '\nExit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 refused by policy or budget, 4 outcome uncertain.'

const REFUSED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'budget_exhausted',
  'price_above_limit',
  'approval_refused',
  'price_unstable',
  'payee_not_allowed',
  'fee_payer_not_allowed',
  'memo_not_allowed',
  'asset_not_allowed',
  'network_not_allowed',
  'host_not_allowed',
  'validity_too_long',
  'unpriced_asset',
])

const UNCERTAIN: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'payment_uncertain',
  'payment_rejected',
  'terms_changed',
  'paid_not_delivered',
  'seller_error',
])

/** The exit code of an error that ended a command. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage
  if (error instanceof NoLedgerError) return EXIT.failed
  if (error instanceof ConfigError) return EXIT.usage
  if (!(error instanceof TollwayError)) return EXIT.failed
  if (REFUSED.has(error.code)) return EXIT.refused
  return UNCERTAIN.has(error.code) ? EXIT.uncertain : EXIT.failed
}
