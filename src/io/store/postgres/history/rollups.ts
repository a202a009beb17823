/**
 * Keeps the sums of closed charges, in the transaction that moves a charge: reports read sums, however long the history is. No
 * money rule reads them.
 */
import { createHash } from 'node:crypto'
import type { Charge } from '../../../../core/charge/charge.ts'
import type { Usage } from '../../../../core/stream/usage.ts'
import { rowToUsage, SUM_COLUMNS, sumsToValues } from '../../rows/rollup-rows.ts'
import { integer, text } from '../../rows/rows.ts'
import { Changes, placesOf } from '../../rules/rollup-places.ts'
import {
  countedTags,
  isClosed,
  lessSums,
  namesOf,
  NO_SUMS,
  sumsOf,
  type SpendNames,
  type SpendSums,
} from '../../rules/rollup-rules.ts'
import { json, type Transaction } from '../database/transaction.ts'

const PLACE = ['tile', 'tagged', 'state', 'start', 'key'] as const

/** The writer of the sums. */
export class PostgresRollups {
  readonly #db: Transaction

  constructor(db: Transaction) {
    this.#db = db
  }

  /** The keys of charges, as far as there are any. @param withTags whether those of their tags too */
  async keysOf(charges: readonly Charge[], withTags = false): Promise<SpendKeys> {
    const keys = new SpendKeys()
    const wanted = keyedOf(charges, withTags)
    await this.#find(wanted, keys)
    return keys
  }

  /** Adds the keys that charges do not have yet. */
  async addKeys(keys: SpendKeys, charges: readonly Charge[], withTags = false): Promise<void> {
    const missing = keyedOf(charges, withTags).filter((one) => !keys.has(one))
    if (missing.length === 0) return
    // In one order: whoever adds the same keys waits for the other, and not in a circle.
    const sorted = missing.toSorted((a, b) => (a.hex < b.hex ? -1 : 1))
    const rows = sorted.map(({ tag, names, hex }) => ({ ...columnsOf(tag, names), digest: `\\x${hex}` }))
    const columns = Object.keys(rows[0] ?? {}).join(', ')
    await this.#db.run(
      `INSERT INTO spend_keys (${columns}) SELECT ${columns}
      FROM jsonb_populate_recordset(NULL::spend_keys, ?::jsonb) ON CONFLICT (digest) DO NOTHING`,
      json(rows),
    )
    await this.#find(missing, keys)
  }

  /** Books what charges became. They are locked. */
  async follow(moves: readonly ChargeMove[]): Promise<void> {
    const booked = moves.filter(
      ({ before, after }) =>
        (isClosed(before.state) || isClosed(after.state)) &&
        (before.state !== after.state || before.charged !== after.charged),
    )
    if (booked.length === 0) return
    const [rows, keys] = await Promise.all([
      this.#db.all(
        `SELECT id, key, input_tokens, output_tokens FROM charges
        LEFT JOIN charge_usage ON charge_usage.charge = charges.id WHERE id = ANY(?::text[])`,
        booked.map(({ after }) => after.id),
      ),
      this.keysOf(
        booked.map(({ after }) => after),
        true,
      ),
    ])
    await this.addKeys(
      keys,
      booked.map(({ after }) => after),
      true,
    )
    const found = new Map(rows.map((row) => [text(row, 'id'), row]))
    const changes = new Changes()
    for (const { before, after } of booked) {
      const row = found.get(after.id)
      if (!row) continue
      const [key, usage] = [integer(row, 'key'), rowToUsage(row)]
      if (isClosed(before.state))
        collect(changes, before, [key, keys.ofTags(before)], lessSums(sumsOf(before, usage)))
      if (isClosed(after.state)) collect(changes, after, [key, keys.ofTags(after)], sumsOf(after, usage))
    }
    this.#apply(changes)
  }

  /** Adds the tokens of a charge that had none before. */
  async noteUsage(charge: Charge, { inputTokens, outputTokens }: Usage): Promise<void> {
    if (!isClosed(charge.state)) return
    const keys = await this.keysOf([charge], true)
    await this.addKeys(keys, [charge], true)
    const changes = new Changes()
    const tokens = { inputTokens: BigInt(inputTokens), outputTokens: BigInt(outputTokens) }
    collect(changes, charge, [keys.of(charge), keys.ofTags(charge)], { ...NO_SUMS, ...tokens })
    this.#apply(changes)
  }

  /** Adds to the rows where they are, in one order, so that transactions that add to the same ones never wait in a circle. */
  #apply(changes: Changes): void {
    const rows = [...changes.all()]
      .toSorted((a, b) => (a.place.join() < b.place.join() ? -1 : 1))
      .map(({ place, sums }) => {
        const values = [...place, ...sumsToValues(sums)]
        return Object.fromEntries(
          [...PLACE, ...SUM_COLUMNS].map((column, index) => [column, values[index] ?? 0]),
        )
      })
    if (rows.length === 0) return
    const added = SUM_COLUMNS.map((column) => `${column} = rollups.${column} + excluded.${column}`)
    this.#db.send(
      `INSERT INTO rollups SELECT * FROM jsonb_populate_recordset(NULL::rollups, ?::jsonb)
      ON CONFLICT (${PLACE.join(', ')}) DO UPDATE SET ${added.join(', ')}`,
      json(rows),
    )
    if (!rows.some((row) => Number(row['charges']) < 0)) return
    this.#db.send(
      `DELETE FROM rollups USING jsonb_populate_recordset(NULL::rollups, ?::jsonb) AS changed
      WHERE (${PLACE.map((column) => `rollups.${column}`).join(', ')}) =
        (${PLACE.map((column) => `changed.${column}`).join(', ')}) AND rollups.charges = 0`,
      json(rows),
    )
  }

  /** The key of a tag of a charge, if it has one. */
  async knownKey(charge: Charge, tag: string): Promise<number | undefined> {
    const keys = new SpendKeys()
    const wanted = keyed(tag, namesOf(charge))
    await this.#find([wanted], keys)
    return keys.get(wanted)
  }

  async #find(wanted: readonly Keyed[], keys: SpendKeys): Promise<void> {
    if (wanted.length === 0) return
    const rows = await this.#db.all(
      "SELECT id, encode(digest, 'hex') AS hex FROM spend_keys WHERE digest = ANY(?::bytea[])",
      wanted.map(({ hex }) => `\\x${hex}`),
    )
    for (const row of rows) keys.set(text(row, 'hex'), integer(row, 'id'))
  }
}

/** A charge before and after a change. */
export interface ChargeMove {
  readonly before: Charge
  readonly after: Charge
}

/** What charges or their tags are added up by. */
interface Keyed {
  readonly tag: string
  readonly names: SpendNames
  /** See {@link keyDigest}. */
  readonly hex: string
}

/** The numbers of keys. */
export class SpendKeys {
  readonly #ids = new Map<string, number>()

  set(hex: string, id: number): void {
    this.#ids.set(hex, id)
  }

  get({ hex }: Keyed): number | undefined {
    return this.#ids.get(hex)
  }

  has({ hex }: Keyed): boolean {
    return this.#ids.has(hex)
  }

  /** The key of a charge. @throws Error when it has none */
  of(charge: Charge): number {
    return this.#found(keyed('', namesOf(charge)))
  }

  /** The keys of its tags. @throws Error when one has none */
  ofTags(charge: Charge): number[] {
    return countedTags(charge).map((tag) => this.#found(keyed(tag, namesOf(charge))))
  }

  #found(wanted: Keyed): number {
    const id = this.get(wanted)
    if (id === undefined) throw new Error('the ledger holds no key of a charge: restore it from a backup')
    return id
  }
}

function collect(
  changes: Changes,
  charge: Charge,
  [key, tagged]: readonly [number, readonly number[]],
  sums: SpendSums,
): void {
  for (const place of placesOf(charge, key, tagged)) changes.add(place, sums)
}

/** Keys are told apart by a digest: an index could not hold names of any length. @param values in the order of {@link SpendNames} */
export function keyDigest(values: readonly (string | number)[]): Uint8Array {
  return createHash('sha256').update(JSON.stringify(values)).digest()
}

function columnsOf(tag: string, names: SpendNames): Record<string, string | number> {
  const { route, model, remoteModel, payer, seller, caller, network, symbol, decimals } = names
  return { tag, route, model, remote_model: remoteModel, payer, seller, caller, network, symbol, decimals }
}

function keyed(tag: string, names: SpendNames): Keyed {
  return { tag, names, hex: Buffer.from(keyDigest(Object.values(columnsOf(tag, names)))).toString('hex') }
}

/** Each once. */
function keyedOf(charges: readonly Charge[], withTags: boolean): Keyed[] {
  const all = charges.flatMap((charge) =>
    ['', ...(withTags ? countedTags(charge) : [])].map((tag) => keyed(tag, namesOf(charge))),
  )
  return [...new Map(all.map((one) => [one.hex, one])).values()]
}
