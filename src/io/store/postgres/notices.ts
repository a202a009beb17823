/** Notices in the Postgres ledger. Called inside the store's transactions. */
import {
  MAX_ENDED_NOTICES,
  type NewNotice,
  type Notice,
  type NoticeQuery,
  type NoticeStore,
} from '../contracts/notices.ts'
import { integer, rowToNotice } from '../rows/rows.ts'
import type { Transaction } from './database/transaction.ts'

/** The notices of the Postgres ledger. */
export class PostgresNotices implements NoticeStore {
  readonly #db: Transaction

  constructor(db: Transaction) {
    this.#db = db
  }

  async add({ id, kind, instance, at, body }: NewNotice): Promise<boolean> {
    const added = await this.#db.run(
      'INSERT INTO notices (id, kind, instance, at, body, attempts) VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING',
      id,
      kind,
      instance,
      at,
      body,
    )
    return added === 1
  }

  async attempt(id: string): Promise<number | undefined> {
    const row = await this.#db.get(
      'UPDATE notices SET attempts = attempts + 1 WHERE id = ? AND result IS NULL RETURNING attempts',
      id,
    )
    return row && integer(row, 'attempts')
  }

  async end(id: string, result: string, at: number): Promise<boolean> {
    const ended = await this.#db.run(
      'UPDATE notices SET result = ?, ended_at = ? WHERE id = ? AND result IS NULL',
      result,
      at,
      id,
    )
    if (ended === 0) return false
    await this.#db.run(
      `DELETE FROM notices WHERE id IN (
        SELECT id FROM notices WHERE result IS NOT NULL ORDER BY ended_at DESC, id DESC OFFSET ?)`,
      MAX_ENDED_NOTICES,
    )
    return true
  }

  async remove(id: string): Promise<void> {
    await this.#db.run('DELETE FROM notices WHERE id = ?', id)
  }

  async find(id: string): Promise<Notice | undefined> {
    const row = await this.#db.get('SELECT * FROM notices WHERE id = ?', id)
    return row && rowToNotice(row)
  }

  async list({ kind, state, limit = 1_000 }: NoticeQuery): Promise<Notice[]> {
    const rows =
      state === 'open'
        ? await this.#db.all(
            'SELECT * FROM notices WHERE kind = ? AND result IS NULL ORDER BY at, id LIMIT ?',
            kind,
            limit,
          )
        : await this.#db.all(
            'SELECT * FROM notices WHERE kind = ? AND result IS NOT NULL ORDER BY ended_at DESC, id DESC LIMIT ?',
            kind,
            limit,
          )
    return rows.map(rowToNotice)
  }

  async adopt(from: string, to: string): Promise<Notice[]> {
    const rows = await this.#db.all(
      `WITH given AS (UPDATE notices SET instance = ? WHERE instance = ? AND result IS NULL RETURNING *)
      SELECT * FROM given ORDER BY at, id`,
      to,
      from,
    )
    return rows.map(rowToNotice)
  }
}
