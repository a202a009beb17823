/** Distinguishes errors of the database from outside (gone, full, shutting down), where a retry may help, from bugs in Tollway. */
import { TollwayError } from '../../../../core/errors.ts'

/** Classes of SQLSTATE that come from outside, https://www.postgresql.org/docs/current/errcodes-appendix.html. */
const OUTSIDE: Readonly<Record<string, string>> = {
  '08': 'the connection failed',
  '0A': 'its server cannot do what the ledger needs',
  '25': 'it only answers reads, as a standby does',
  '28': 'it refused the user or the password',
  '3D': 'there is no such database',
  '40': 'other processes write the same entries',
  '42501': 'the user lacks a right',
  '53': 'it has no room or connections left',
  '54': 'a limit of its server is reached',
  '55': 'a lock could not be taken in time',
  '57': 'it is shutting down or ended the statement',
  '58': 'its server reports a system error',
  XX: 'its data is damaged',
}

/** Two transactions got into each other's way: the same work succeeds when it is done again. */
const RETRYABLE = new Set(['40001', '40P01'])

/** The five characters of SQLSTATE; `undefined` for errors that are not the server's. */
export function sqlState(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
}

/** Whether the work of a transaction that failed so is done again. */
export function isRetryable(error: unknown): boolean {
  const cause = error instanceof TollwayError ? error.cause : error
  return RETRYABLE.has(sqlState(cause) ?? '')
}

/** Whether the connection is gone, or may be: it is not used again. */
export function isLost(error: unknown): boolean {
  if (!(error instanceof TollwayError) || error.code !== 'store_unavailable') return false
  const state = sqlState(error.cause)
  return state === undefined || state.startsWith('08') || state.startsWith('57P') || state.startsWith('25')
}

/**
 * The error that a caller of the store gets for one of the driver: `store_unavailable` for errors from outside, the error itself
 * for a bug in Tollway (SQL, constraints).
 */
export function databaseError(error: unknown): unknown {
  const state = sqlState(error)
  // What has no SQLSTATE comes from the network: refused, reset, timed out, or no name.
  const why = state === undefined ? 'it does not answer' : (OUTSIDE[state] ?? OUTSIDE[state.slice(0, 2)])
  if (why === undefined) return error
  return new TollwayError({
    code: 'store_unavailable',
    message: `The ledger's database cannot be used: ${why}.`,
    details: { sqlstate: state ?? null, why },
    cause: error,
  })
}
