/**
 * Detects that the ledger's files were deleted or replaced while they are open. SQLite would keep writing to the old file:
 * everything recorded there would be lost when the process ends, and another process that opens the ledger meanwhile would not
 * see it.
 */
import { realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { TollwayError } from '../../../../core/errors.ts'
import { identityOf } from './one-log.ts'

/** Remembers which files were opened at the ledger's path. */
export class SqliteFileIdentity {
  readonly #files: readonly { readonly file: string; readonly what: string }[]
  readonly #opened = new Map<string, string>()

  /** @param path the path of a ledger that was just opened */
  constructor(path: string) {
    const ledger = resolve(path)
    // SQLite puts the log next to the target of a symbolic link.
    const real = realpathSync(ledger)
    this.#files = [
      { file: ledger, what: 'ledger' },
      { file: `${real}-wal`, what: 'log' },
      { file: `${real}-shm`, what: 'index of the log' },
    ]
    this.check()
  }

  /**
   * Checks the ledger and its log. Takes a few microseconds.
   * @throws TollwayError `store_unavailable` while one of them is missing or another file; moving it back resolves that
   */
  check(): void {
    // The log appears with the first read or write and stays while any process has the ledger open.
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
