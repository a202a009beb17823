/** Tombstones of requests in the SQLite ledger. Called inside the store's transactions. */
import type { StatementSync } from 'node:sqlite'
import { REMEMBERED_MS, type RequestMark } from '../../../core/request/idempotency.ts'
import type { Connection } from './file/file.ts'
import { integer, rowToCharge, text, type Row } from '../rows/rows.ts'
import {
  MAX_OTHERS,
  type FoundTombstones,
  type IdempotencyStore,
  type RepeatClaim,
  type Tombstone,
} from '../contracts/idempotency.ts'
import { refuseRepeat } from '../rules/repeat-rules.ts'
import type { InTransaction } from '../synchronous-store.ts'

/** How many expired tombstones a reservation deletes: more than it adds, so that the table does not grow. */
const SWEEP = 4

/** The tombstones of the SQLite ledger. */
export class SqliteIdempotency implements InTransaction<IdempotencyStore> {
  readonly #secret: StatementSync
  readonly #byName: StatementSync
  readonly #byBody: StatementSync
  readonly #byCall: StatementSync
  readonly #retried: StatementSync
  readonly #insert: StatementSync
  readonly #dropName: StatementSync
  readonly #unname: StatementSync
  readonly #sweep: StatementSync
  readonly #mark: StatementSync

  constructor(db: Connection) {
    const columns = 'charges.*, tombstones.body AS request_body, tombstones.undelivered_at'
    const joined = `SELECT ${columns} FROM tombstones JOIN charges ON charges.id = tombstones.charge`
    this.#secret = db.prepare("SELECT value FROM secrets WHERE name = 'request_digest'")
    this.#byName = db.prepare(`${joined} WHERE name = ? AND at >= ? AND state <> 'released'`)
    this.#byBody = db.prepare(`${joined} WHERE body = ? AND at >= ? AND state <> 'released'
      ORDER BY at DESC, charge DESC LIMIT 1`)
    // Not `body <> ?`, which would read every request of the same body.
    const otherBody = '((call = ?1 AND body < ?3) OR (call = ?1 AND body > ?3))'
    this.#byCall = db.prepare(`${joined} WHERE ${otherBody} AND at >= ?2 AND state <> 'released'
      AND (state <> 'settled' OR undelivered_at IS NOT NULL) ORDER BY at DESC, charge DESC LIMIT ${MAX_OTHERS}`)
    this.#retried = db.prepare(`SELECT 1 FROM tombstones JOIN charges ON charges.id = tombstones.charge
      WHERE body = ? AND at >= ? AND is_retry = 1 AND state <> 'released' AND instance <> ? LIMIT 1`)
    this.#insert = db.prepare(`INSERT INTO tombstones (charge, name, body, call, at, is_retry) VALUES
      (?, ?, ?, ?, max(?, coalesce((SELECT at + 1 FROM tombstones WHERE charge = ?), 0)), ?)`)
    this.#dropName = db.prepare('DELETE FROM tombstones WHERE name = ?')
    this.#unname = db.prepare('UPDATE tombstones SET name = NULL WHERE name = ?')
    this.#sweep = db.prepare(`DELETE FROM tombstones WHERE charge IN
      (SELECT charge FROM tombstones WHERE at < ? ORDER BY at LIMIT ${SWEEP})`)
    this.#mark = db.prepare('UPDATE tombstones SET undelivered_at = ? WHERE charge = ?')
  }

  digestKey(): Uint8Array {
    const value = this.#secret.get()?.['value']
    if (value instanceof Uint8Array && value.length >= 32) return value
    throw new Error('the ledger holds no request_digest secret: restore it from a backup')
  }

  tombstones({ name, body, call }: RequestMark, since: number): FoundTombstones {
    const named = name === undefined ? undefined : this.#byName.get(name, since)
    const newest = this.#byBody.get(body, since)
    const others = call === undefined ? [] : this.#byCall.all(call, since, body)
    return {
      named: named && rowToTombstone(named),
      newest: newest && rowToTombstone(newest),
      others: others.map(rowToTombstone),
    }
  }

  /** Frees a name that no valid tombstone holds. @throws TollwayError see {@link refuseRepeat} */
  claim(claim: RepeatClaim): void {
    const { mark, instance, at } = claim
    const { name, body, cameAt = at } = mark
    const found = this.tombstones(mark, at - REMEMBERED_MS)
    refuseRepeat(claim, found, () => this.#retried.get(body, cameAt, instance) !== undefined)
    // What still holds it is this request's own first charge.
    if (name !== undefined && !found.named) this.#dropName.run(name)
  }

  /** A request's second charge is newer than its first, within one millisecond too. */
  insert(charge: string, { name, body, call, after, presented }: RequestMark, at: number): void {
    this.#sweep.run(at - REMEMBERED_MS)
    if (name !== undefined && after !== undefined) this.#unname.run(name)
    const isRetry = presented?.isRetry === true ? 1 : 0
    this.#insert.run(charge, name ?? null, body, call ?? null, at, after ?? null, isRetry)
  }

  markUndelivered(charge: string, at: number): void {
    this.#mark.run(at, charge)
  }
}

function rowToTombstone(row: Row): Tombstone {
  return {
    charge: rowToCharge(row),
    body: text(row, 'request_body'),
    undeliveredAt: row['undelivered_at'] === null ? undefined : integer(row, 'undelivered_at'),
  }
}
