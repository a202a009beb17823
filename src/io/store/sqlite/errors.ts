/** SQLite's failures, told apart: the disk's (the client is told to try again) and our own faults. */
import { TollwayError } from '../../../core/errors.ts'
import { sqliteCode } from '../../files/sqlite-code.ts'

/** Primary result codes, https://www.sqlite.org/rescode.html: failures of disk, file or neighbours. */
const OUTSIDE: Readonly<Record<number, string>> = {
  3: 'access to its file is denied',
  4: 'its transaction was ended',
  5: 'another process holds it locked',
  6: 'another connection holds it locked',
  7: 'memory ran out',
  8: 'its file is read-only',
  9: 'it was interrupted',
  10: 'the disk reports an error',
  11: 'its file is damaged',
  13: 'the disk is full',
  14: 'its file cannot be opened',
  15: 'its lock cannot be taken',
  17: 'its tables changed',
  22: 'the file is too large',
  26: 'its file is not a database',
}

/** What went wrong outside, in words, or `undefined` for a fault of ours (SQL, constraints). */
export function outsideFailure(error: unknown): string | undefined {
  const code = sqliteCode(error)
  return code === undefined ? undefined : OUTSIDE[code]
}

/** The error a caller of the store gets: `store_unavailable` for failures outside, the error itself otherwise. */
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
