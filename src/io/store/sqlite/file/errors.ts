/** Distinguishes SQLite errors from outside (disk, file, other processes), where a retry may help, from bugs in Tollway. */
import { TollwayError } from '../../../../core/errors.ts'
import { sqliteCode } from '../../../files/sqlite-code.ts'

/** Primary result codes of errors from outside, https://www.sqlite.org/rescode.html. */
const OUTSIDE: Readonly<Record<number, string>> = {
  3: 'access to its file is denied',
  4: 'its transaction was aborted',
  5: 'another process has locked it',
  6: 'another connection has locked it',
  7: 'there is not enough memory',
  8: 'its file is read-only',
  9: 'the operation was interrupted',
  10: 'the disk reports an error',
  11: 'its file is damaged',
  13: 'the disk is full',
  14: 'its file cannot be opened',
  15: 'its lock cannot be taken',
  17: 'its schema changed',
  22: 'the file is too large',
  26: 'its file is not a database',
}

/** A description of an error from outside; `undefined` for a bug in Tollway (SQL, constraints). */
export function outsideFailure(error: unknown): string | undefined {
  const code = sqliteCode(error)
  return code === undefined ? undefined : OUTSIDE[code]
}

/** The error that a caller of the store gets: `store_unavailable` for errors from outside, otherwise the error itself. */
export function storeError(error: unknown): unknown {
  const why = outsideFailure(error)
  if (why === undefined) return error
  return new TollwayError({
    code: 'store_unavailable',
    message: `The ledger cannot be used: ${why}.`,
    details: { sqlite: sqliteCode(error) ?? null, why },
    cause: error,
  })
}
