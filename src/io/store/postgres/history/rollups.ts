/**
 * Keeps the sums of closed charges, in the transaction that moves a charge: reports read sums, however long the history is. No
 * money rule reads them.
 */
import { createHash } from 'node:crypto'
import type { Charge } from '../../../../core/charge/charge.ts'
import type { Usage } from '../../../../core/stream/usage.ts'
import { rowToUsage, SUM_COLUMNS, sumsToValues } from '../../rows/rollup-rows.ts'
import { integer } from '../../rows/rows.ts'
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

  /** The key of a new charge. */
  keyFor(charge: Charge): Promise<number> {
    return this.#key('', namesOf(charge))
  }

  /** Books what a charge became. */
  async follow(before: Charge, after: Charge): Promise<void> {
    if (!isClosed(before.state) && !isClosed(after.state)) return
    if (before.state === after.state && before.charged === after.charged) return
    const row = await this.#db.get(
      `SELECT key, input_tokens, output_tokens FROM charges
      LEFT JOIN charge_usage ON charge_usage.charge = charges.id WHERE id = ?`,
      after.id,
    )
    if (!row) return
    const [key, usage] = [integer(row, 'key'), rowToUsage(row)]
    const changes = new Changes()
    if (isClosed(before.state)) await this.#collect(changes, before, key, lessSums(sumsOf(before, usage)))
    if (isClosed(after.state)) await this.#collect(changes, after, key, sumsOf(after, usage))
    await this.#apply(changes)
  }

  /** Adds the tokens of a charge that had none before. */
  async noteUsage(charge: Charge, { inputTokens, outputTokens }: Usage): Promise<void> {
    if (!isClosed(charge.state)) return
    const changes = new Changes()
    const tokens = { inputTokens: BigInt(inputTokens), outputTokens: BigInt(outputTokens) }
    await this.#collect(changes, charge, await this.keyFor(charge), { ...NO_SUMS, ...tokens })
    await this.#apply(changes)
  }

  async #collect(changes: Changes, charge: Charge, key: number, sums: SpendSums): Promise<void> {
    const tagged: number[] = []
    for (const tag of countedTags(charge)) tagged.push(await this.#key(tag, namesOf(charge)))
    for (const place of placesOf(charge, key, tagged)) changes.add(place, sums)
  }

  /** Adds to the rows where they are, in one order, so that transactions that add to the same ones never wait in a circle. */
  async #apply(changes: Changes): Promise<void> {
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
    await this.#db.run(
      `INSERT INTO rollups SELECT * FROM jsonb_populate_recordset(NULL::rollups, ?::jsonb)
      ON CONFLICT (${PLACE.join(', ')}) DO UPDATE SET ${added.join(', ')}`,
      json(rows),
    )
    if (!rows.some((row) => Number(row['charges']) < 0)) return
    await this.#db.run(
      `DELETE FROM rollups USING jsonb_populate_recordset(NULL::rollups, ?::jsonb) AS changed
      WHERE (${PLACE.map((column) => `rollups.${column}`).join(', ')}) =
        (${PLACE.map((column) => `changed.${column}`).join(', ')}) AND rollups.charges = 0`,
      json(rows),
    )
  }

  /** The key of a tag of a charge, if it has one. */
  async knownKey(charge: Charge, tag: string): Promise<number | undefined> {
    return await this.#find(keyOf(tag, namesOf(charge)).digest)
  }

  async #find(digest: Uint8Array): Promise<number | undefined> {
    const row = await this.#db.get('SELECT id FROM spend_keys WHERE digest = ?', digest)
    return row && integer(row, 'id')
  }

  async #key(tag: string, names: SpendNames): Promise<number> {
    const { values, digest } = keyOf(tag, names)
    const known = await this.#find(digest)
    if (known !== undefined) return known
    const added = await this.#db.get(
      `INSERT INTO spend_keys (tag, route, model, remote_model, payer, seller, caller, network, symbol, decimals, digest)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (digest) DO NOTHING RETURNING id`,
      ...values,
      digest,
    )
    if (added) return integer(added, 'id')
    // Another transaction has added it meanwhile.
    const other = await this.#find(digest)
    if (other === undefined) throw new Error('the ledger holds no key of a charge: restore it from a backup')
    return other
  }
}

/** Keys are told apart by a digest: an index could not hold names of any length. @param values in the order of {@link SpendNames} */
export function keyDigest(values: readonly (string | number)[]): Uint8Array {
  return createHash('sha256').update(JSON.stringify(values)).digest()
}

function keyOf(
  tag: string,
  names: SpendNames,
): { readonly values: readonly (string | number)[]; readonly digest: Uint8Array } {
  const { route, model, remoteModel, payer, seller, caller, network, symbol, decimals } = names
  const values = [tag, route, model, remoteModel, payer, seller, caller, network, symbol, decimals]
  return { values, digest: keyDigest(values) }
}
