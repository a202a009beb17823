/** Tombstones of requests in the Postgres ledger. Called inside the store's transactions. */
import { REMEMBERED_MS, type RequestMark } from '../../../core/request/idempotency.ts'
import {
  MAX_OTHERS,
  type FoundTombstones,
  type IdempotencyStore,
  type RepeatClaim,
  type Tombstone,
} from '../contracts/idempotency.ts'
import { integer, rowToCharge, text, type Row } from '../rows/rows.ts'
import { refuseRepeat } from '../rules/repeat-rules.ts'
import type { Transaction } from './database/transaction.ts'

/** How many expired tombstones a reservation deletes: more than it adds, so that the table does not grow. */
const SWEEP = 4

const JOINED = `SELECT charges.*, tombstones.body AS request_body, tombstones.undelivered_at
  FROM tombstones JOIN charges ON charges.id = tombstones.charge`

/** The names to lock before a request is compared: of two repeats, the second sees the first. */
export function requestLocks({ name, body, call }: RequestMark): string[] {
  return [
    `body ${body}`,
    ...(name === undefined ? [] : [`name ${name}`]),
    ...(call === undefined ? [] : [`call ${call}`]),
  ]
}

/** The tombstones of the Postgres ledger. */
export class PostgresIdempotency implements IdempotencyStore {
  readonly #db: Transaction

  constructor(db: Transaction) {
    this.#db = db
  }

  async digestKey(): Promise<Uint8Array> {
    const row = await this.#db.get("SELECT value FROM secrets WHERE name = 'request_digest'")
    const value = row?.['value']
    if (value instanceof Uint8Array && value.length >= 32) return value
    throw new Error('the ledger holds no request_digest secret: restore it from a backup')
  }

  async tombstones({ name, body, call }: RequestMark, since: number): Promise<FoundTombstones> {
    const named =
      name === undefined
        ? undefined
        : await this.#db.get(`${JOINED} WHERE name = ? AND at >= ? AND state <> 'released'`, name, since)
    const newest = await this.#db.get(
      `${JOINED} WHERE body = ? AND at >= ? AND state <> 'released' ORDER BY at DESC, charge DESC LIMIT 1`,
      body,
      since,
    )
    const others =
      call === undefined
        ? []
        : // Not `body <> ?`, which would read every request of the same body.
          await this.#db.all(
            `${JOINED} WHERE ((call = ? AND body < ?) OR (call = ? AND body > ?)) AND at >= ? AND state <> 'released'
            AND (state <> 'settled' OR undelivered_at IS NOT NULL)
            ORDER BY at DESC, charge DESC LIMIT ${MAX_OTHERS}`,
            call,
            body,
            call,
            body,
            since,
          )
    return {
      named: named && rowToTombstone(named),
      newest: newest && rowToTombstone(newest),
      others: others.map(rowToTombstone),
    }
  }

  /** Frees a name that no valid tombstone holds. @throws TollwayError see {@link refuseRepeat} */
  async claim(claim: RepeatClaim): Promise<void> {
    const { mark, instance, at } = claim
    const { name, body, cameAt = at } = mark
    const found = await this.tombstones(mark, at - REMEMBERED_MS)
    const retried = await this.#db.get(
      `SELECT 1 FROM tombstones JOIN charges ON charges.id = tombstones.charge
      WHERE body = ? AND at >= ? AND is_retry = 1 AND state <> 'released' AND instance <> ? LIMIT 1`,
      body,
      cameAt,
      instance,
    )
    refuseRepeat(claim, found, () => retried !== undefined)
    // What still holds it is this request's own first charge.
    if (name !== undefined && !found.named) {
      await this.#db.run('DELETE FROM tombstones WHERE name = ?', name)
    }
  }

  /** A request's second charge is newer than its first, within one millisecond too. */
  async insert(charge: string, mark: RequestMark, at: number): Promise<void> {
    const { name = null, body, call = null, after = null, presented } = mark
    await this.#db.run(
      `DELETE FROM tombstones WHERE charge IN
      (SELECT charge FROM tombstones WHERE at < ? ORDER BY at LIMIT ${SWEEP} FOR UPDATE SKIP LOCKED)`,
      at - REMEMBERED_MS,
    )
    if (name !== null && after !== null) {
      await this.#db.run('UPDATE tombstones SET name = NULL WHERE name = ?', name)
    }
    await this.#db.run(
      `INSERT INTO tombstones (charge, name, body, call, at, is_retry) VALUES
      (?, ?, ?, ?, greatest(?::bigint, (SELECT at + 1 FROM tombstones WHERE charge = ?)), ?)`,
      charge,
      name,
      body,
      call,
      at,
      after,
      presented?.isRetry === true ? 1 : 0,
    )
  }

  async markUndelivered(charge: string, at: number): Promise<void> {
    await this.#db.run('UPDATE tombstones SET undelivered_at = ? WHERE charge = ?', at, charge)
  }
}

function rowToTombstone(row: Row): Tombstone {
  return {
    charge: rowToCharge(row),
    body: text(row, 'request_body'),
    undeliveredAt: row['undelivered_at'] === null ? undefined : integer(row, 'undelivered_at'),
  }
}
