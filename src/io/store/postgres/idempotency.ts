/** Tombstones of requests in the Postgres ledger. Called inside the store's transactions. */
import type { Charge } from '../../../core/charge/charge.ts'
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
import { json, type Transaction } from './database/transaction.ts'

/** How many expired tombstones are deleted for each that is added, so that the table does not grow. */
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

/** A charge that is reserved for a request. */
interface Marked {
  readonly charge: Charge
  readonly mark: RequestMark
}

interface Repeat {
  readonly claim: RepeatClaim
  readonly found: FoundTombstones
  readonly wasRetried: boolean
}

/** What the ledger knows of some requests, read under their locks. */
export class Repeats {
  readonly #byMark: ReadonlyMap<RequestMark, Repeat>

  constructor(repeats: readonly Repeat[]) {
    this.#byMark = new Map(repeats.map((repeat) => [repeat.claim.mark, repeat]))
  }

  /** @throws TollwayError see {@link refuseRepeat} */
  refuse(mark: RequestMark): void {
    const { claim, found, wasRetried } = this.#of(mark)
    refuseRepeat(claim, found, () => wasRetried)
  }

  /** Whether no valid tombstone holds its name. */
  isFree(mark: RequestMark): boolean {
    return this.#of(mark).found.named === undefined
  }

  #of(mark: RequestMark): Repeat {
    const repeat = this.#byMark.get(mark)
    if (!repeat) throw new Error('a request was not compared with the ledger')
    return repeat
  }
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

  /** What the ledger knows of requests that are to be reserved. */
  async findRepeats(claims: readonly RepeatClaim[]): Promise<Repeats> {
    if (claims.length === 0) return new Repeats([])
    const asked = json(
      claims.map(({ mark: { name = null, body, call = null, cameAt }, instance, at }, n) => ({
        n,
        name,
        body,
        call,
        since: at - REMEMBERED_MS,
        came_at: cameAt ?? at,
        instance,
      })),
    )
    const remembered = "at >= k.since AND state <> 'released'"
    const found = (kind: string, condition: string): string =>
      `SELECT '${kind}' AS kind, k.n, found.* FROM k CROSS JOIN LATERAL (${JOINED} WHERE ${condition}) AS found`
    const rows = await this.#db.all(
      `SELECT * FROM (
        WITH k AS MATERIALIZED (SELECT * FROM jsonb_to_recordset(?::jsonb) AS k(n integer, name text, body text, call text,
          since bigint, came_at bigint, instance text))
        ${[
          found('named', `name = k.name AND ${remembered}`),
          found('newest', `tombstones.body = k.body AND ${remembered} ORDER BY at DESC, charge DESC LIMIT 1`),
          // Not `body <> k.body`, which would read every request of the same body.
          found(
            'others',
            `((call = k.call AND tombstones.body < k.body) OR (call = k.call AND tombstones.body > k.body)) AND ${remembered}
            AND (state <> 'settled' OR undelivered_at IS NOT NULL) ORDER BY at DESC, charge DESC LIMIT ${MAX_OTHERS}`,
          ),
          found(
            'retried',
            `tombstones.body = k.body AND at >= k.came_at AND is_retry = 1 AND state <> 'released'
            AND charges.instance <> k.instance LIMIT 1`,
          ),
        ].join(' UNION ALL ')}
      ) AS repeats`,
      asked,
    )
    const of = (kind: string, n: number): Tombstone[] =>
      rows.filter((row) => row['kind'] === kind && row['n'] === n).map(rowToTombstone)
    return new Repeats(
      claims.map((claim, n) => ({
        claim,
        found: { named: of('named', n)[0], newest: of('newest', n)[0], others: of('others', n) },
        wasRetried: of('retried', n).length > 0,
      })),
    )
  }

  /** Adds tombstones. A request's second charge is newer than its first, within one millisecond too. */
  insert(added: readonly Marked[], repeats: Repeats): void {
    if (added.length === 0) return
    const names = (which: (marked: Marked) => boolean): string[] =>
      added.flatMap((marked) => (marked.mark.name !== undefined && which(marked) ? [marked.mark.name] : []))
    const oldest = Math.min(...added.map(({ charge }) => charge.reservedAt)) - REMEMBERED_MS
    this.#db.send(
      `DELETE FROM tombstones WHERE charge IN
      (SELECT charge FROM tombstones WHERE at < ? ORDER BY at LIMIT ? FOR UPDATE SKIP LOCKED)`,
      oldest,
      SWEEP * added.length,
    )
    // Of a name that no valid tombstone holds, what still holds it is forgotten; of one that this request holds, its first charge.
    const forgotten = names(({ mark }) => repeats.isFree(mark))
    const renamed = names(({ mark }) => mark.after !== undefined)
    if (forgotten.length > 0) this.#db.send('DELETE FROM tombstones WHERE name = ANY(?::text[])', forgotten)
    if (renamed.length > 0) {
      this.#db.send('UPDATE tombstones SET name = NULL WHERE name = ANY(?::text[])', renamed)
    }
    const rows = added.map(
      ({ charge, mark: { name = null, body, call = null, after = null, presented } }) => ({
        charge: charge.id,
        name,
        body,
        call,
        at: charge.reservedAt,
        after,
        is_retry: presented?.isRetry === true ? 1 : 0,
      }),
    )
    this.#db.send(
      `INSERT INTO tombstones (charge, name, body, call, at, is_retry)
      SELECT k.charge, k.name, k.body, k.call,
        greatest(k.at, (SELECT at + 1 FROM tombstones WHERE charge = k.after)), k.is_retry
      FROM jsonb_to_recordset(?::jsonb)
        AS k(charge text, name text, body text, call text, at bigint, after text, is_retry integer)`,
      json(rows),
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
