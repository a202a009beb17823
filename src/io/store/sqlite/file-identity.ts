/**
 * Whether the files at the ledger's path are still those that are open. SQLite goes on writing into a file that was
 * deleted or replaced under it: what is recorded there is forgotten when the process ends, and another process that opens the
 * ledger meanwhile does not see it.
 */
import { realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { TollwayError } from '../../../core/errors.ts'
import { identityOf } from './one-log.ts'

/** See the file's head. */
export class SqliteFileIdentity {
  readonly #files: readonly { readonly file: string; readonly what: string }[]
  readonly #opened = new Map<string, string>()

  /** @param path of a ledger that has just been opened */
  constructor(path: string) {
    const ledger = resolve(path)
    // The log is beside what a symbolic link leads to.
    const real = realpathSync(ledger)
    this.#files = [
      { file: ledger, what: 'ledger' },
      { file: `${real}-wal`, what: 'log' },
      { file: `${real}-shm`, what: 'index of the log' },
    ]
    this.check()
  }

  /**
   * Looks at the ledger and its log; takes a few microseconds.
   * @throws TollwayError `store_unavailable` when one is gone or another file; moving it back mends that
   */
  check(): void {
    // The log first appears with the first reading or writing, and stays while anybody has the ledger open.
    for (const { file, what } of this.#files) {
      const found = identityOf(file)
      const opened = this.#opened.get(file)
      if (opened === undefined) {
        if (found !== undefined) this.#opened.set(file, found)
      } else if (found !== opened) {
        throw new TollwayError({
          code: 'store_unavailable',
          message: `The ledger cannot be used: its file was ${found === undefined ? 'deleted or moved away' : 'replaced'} while it was open.`,
          details: { file: what },
        })
      }
    }
  }
}
