/** Notices in the SQLite ledger. Called inside the store's transactions. */
import type { StatementSync } from 'node:sqlite'
import {
  MAX_ENDED_NOTICES,
  type NewNotice,
  type Notice,
  type NoticeQuery,
  type NoticeStore,
} from '../contracts/notices.ts'
import { integer, rowToNotice } from '../rows/rows.ts'
import type { InTransaction } from '../synchronous-store.ts'
import type { Connection } from './file/file.ts'

/** The notices of the SQLite ledger. */
export class SqliteNotices implements InTransaction<NoticeStore> {
  readonly #add: StatementSync
  readonly #attempt: StatementSync
  readonly #end: StatementSync
  readonly #prune: StatementSync
  readonly #remove: StatementSync
  readonly #find: StatementSync
  readonly #open: StatementSync
  readonly #ended: StatementSync
  readonly #openOf: StatementSync
  readonly #give: StatementSync

  constructor(db: Connection) {
    this.#add = db.prepare(
      'INSERT OR IGNORE INTO notices (id, kind, instance, at, body, attempts) VALUES (?, ?, ?, ?, ?, 0)',
    )
    this.#attempt = db.prepare(
      'UPDATE notices SET attempts = attempts + 1 WHERE id = ? AND result IS NULL RETURNING attempts',
    )
    this.#end = db.prepare('UPDATE notices SET result = ?, ended_at = ? WHERE id = ? AND result IS NULL')
    this.#prune = db.prepare(`DELETE FROM notices WHERE id IN (
      SELECT id FROM notices WHERE result IS NOT NULL ORDER BY ended_at DESC, id DESC LIMIT -1 OFFSET ?)`)
    this.#remove = db.prepare('DELETE FROM notices WHERE id = ?')
    this.#find = db.prepare('SELECT * FROM notices WHERE id = ?')
    this.#open = db.prepare('SELECT * FROM notices WHERE kind = ? AND result IS NULL ORDER BY at, id LIMIT ?')
    this.#ended = db.prepare(
      'SELECT * FROM notices WHERE kind = ? AND result IS NOT NULL ORDER BY ended_at DESC, id DESC LIMIT ?',
    )
    this.#openOf = db.prepare('SELECT * FROM notices WHERE instance = ? AND result IS NULL ORDER BY at, id')
    this.#give = db.prepare('UPDATE notices SET instance = ? WHERE instance = ? AND result IS NULL')
  }

  add({ id, kind, instance, at, body }: NewNotice): boolean {
    return Number(this.#add.run(id, kind, instance, at, body).changes) === 1
  }

  attempt(id: string): number | undefined {
    const row = this.#attempt.get(id)
    return row && integer(row, 'attempts')
  }

  end(id: string, result: string, at: number): boolean {
    if (Number(this.#end.run(result, at, id).changes) === 0) return false
    this.#prune.run(MAX_ENDED_NOTICES)
    return true
  }

  remove(id: string): void {
    this.#remove.run(id)
  }

  find(id: string): Notice | undefined {
    const row = this.#find.get(id)
    return row && rowToNotice(row)
  }

  list({ kind, state, limit = 1_000 }: NoticeQuery): Notice[] {
    const rows = state === 'open' ? this.#open.all(kind, limit) : this.#ended.all(kind, limit)
    return rows.map(rowToNotice)
  }

  adopt(from: string, to: string): Notice[] {
    const rows = this.#openOf.all(from)
    if (rows.length > 0) this.#give.run(to, from)
    return rows.map((row) => ({ ...rowToNotice(row), instance: to }))
  }
}
