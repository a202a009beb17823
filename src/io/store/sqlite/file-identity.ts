/**
 * Whether the files at the ledger's path are still those that are open. SQLite goes on writing into a file that was
 * deleted or replaced under it, and everything booked there is forgotten when the process ends.
 */
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { TollwayError } from '../../../core/errors.ts'

/** See the file's head. */
export class SqliteFileIdentity {
  readonly #path: string
  readonly #opened = new Map<string, string>()

  /** @param path of a ledger that has just been opened */
  constructor(path: string) {
    this.#path = resolve(path)
    this.check()
  }

  /**
   * Looks at the ledger and its log; takes a few microseconds.
   * @throws TollwayError `store_unavailable` when one is gone or another file; moving it back mends that
   */
  check(): void {
    // The log first appears with the first reading or writing, and stays while anybody has the ledger open.
    for (const file of [this.#path, `${this.#path}-wal`]) {
      const found = identityOf(file)
      const opened = this.#opened.get(file)
      if (opened === undefined) {
        if (found !== undefined) this.#opened.set(file, found)
      } else if (found !== opened) {
        throw new TollwayError({
          code: 'store_unavailable',
          message: `The ledger cannot be used: its file was ${found === undefined ? 'deleted or moved away' : 'replaced'} while it was open.`,
          details: { file: file === this.#path ? 'ledger' : 'log' },
        })
      }
    }
  }
}

function identityOf(file: string): string | undefined {
  const found = statSync(file, { bigint: true, throwIfNoEntry: false })
  return found && `${found.dev}:${found.ino}`
}
