/**
 * Keeps the sums of closed charges, in the transaction that moves a charge: reports read sums, however long the history is. No
 * money rule reads them. A charge that an older version wrote has no key and is not in the sums until {@link SqliteRollups.build}
 * has come to it.
 */
import type { StatementSync } from 'node:sqlite'
import type { Charge } from '../../../../core/charge/charge.ts'
import type { Usage } from '../../../../core/stream/usage.ts'
import {
  addSums,
  countedTags,
  isClosed,
  lessSums,
  namesOf,
  NO_SUMS,
  sumsOf,
  type SpendNames,
  type SpendSums,
} from '../../rules/rollup-rules.ts'
import type { Connection } from '../file/file.ts'
import { integer, rowToCharge, text } from '../../rows/rows.ts'
import { rowToSums, rowToUsage, SUM_COLUMNS, sumsToValues } from '../../rows/rollup-rows.ts'
import { Changes, notBelowZero, placesOf } from '../../rules/rollup-places.ts'

/** The writer of the sums. */
export class SqliteRollups {
  readonly #findKey: StatementSync
  readonly #addKey: StatementSync
  readonly #keyOfCharge: StatementSync
  readonly #setKey: StatementSync
  readonly #usage: StatementSync
  readonly #read: StatementSync
  readonly #write: StatementSync
  readonly #drop: StatementSync
  readonly #unbuilt: StatementSync

  constructor(db: Connection) {
    const names = 'tag, route, model, remote_model, payer, seller, caller, network, symbol, decimals'
    this.#findKey = db.prepare(`SELECT id FROM spend_keys WHERE (${names}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#addKey = db.prepare(`INSERT INTO spend_keys (${names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#keyOfCharge = db.prepare('SELECT key FROM charges WHERE id = ?')
    this.#setKey = db.prepare('UPDATE charges SET key = ? WHERE id = ?')
    this.#usage = db.prepare('SELECT input_tokens, output_tokens FROM charge_usage WHERE charge = ?')
    const place = 'tile = ? AND tagged = ? AND state = ? AND start = ? AND key = ?'
    this.#read = db.prepare(`SELECT ${SUM_COLUMNS.join(', ')} FROM rollups WHERE ${place}`)
    this.#write =
      db.prepare(`INSERT OR REPLACE INTO rollups (tile, tagged, state, start, key, ${SUM_COLUMNS.join(', ')})
      VALUES (?, ?, ?, ?, ?, ${SUM_COLUMNS.map(() => '?').join(', ')})`)
    this.#drop = db.prepare(`DELETE FROM rollups WHERE ${place}`)
    this.#unbuilt = db.prepare(`SELECT charges.*, input_tokens, output_tokens
      FROM charges INDEXED BY charges_by_key LEFT JOIN charge_usage ON charge_usage.charge = charges.id
      WHERE key IS NULL LIMIT ?`)
  }

  /** The key of a new charge. */
  keyFor(charge: Charge): number {
    return this.#key('', namesOf(charge))
  }

  /** Books what a charge became. */
  follow(before: Charge, after: Charge): void {
    if (!isClosed(before.state) && !isClosed(after.state)) return
    if (before.state === after.state && before.charged === after.charged) return
    const key = this.#keyOfCharge.get(after.id)?.['key']
    if (typeof key !== 'number') return
    const usage = rowToUsage(this.#usage.get(after.id))
    const changes = new Changes()
    if (isClosed(before.state)) this.#collect(changes, before, key, lessSums(sumsOf(before, usage)))
    if (isClosed(after.state)) this.#collect(changes, after, key, sumsOf(after, usage))
    this.#apply(changes)
  }

  /** Adds the tokens of a charge that had none before. */
  noteUsage(charge: Charge, { inputTokens, outputTokens }: Usage): void {
    const key = this.#keyOfCharge.get(charge.id)?.['key']
    if (typeof key !== 'number' || !isClosed(charge.state)) return
    const changes = new Changes()
    const tokens = { inputTokens: BigInt(inputTokens), outputTokens: BigInt(outputTokens) }
    this.#collect(changes, charge, key, { ...NO_SUMS, ...tokens })
    this.#apply(changes)
  }

  /**
   * Adds charges of older versions to the sums.
   * @param limit how many at most
   * @returns how many it added; fewer than the limit once all are added
   */
  build(limit: number): number {
    const rows = this.#unbuilt.all(limit)
    const changes = new Changes()
    for (const row of rows) {
      const charge = rowToCharge(row)
      const key = this.keyFor(charge)
      this.#setKey.run(key, text(row, 'id'))
      if (isClosed(charge.state)) this.#collect(changes, charge, key, sumsOf(charge, rowToUsage(row)))
    }
    this.#apply(changes)
    return rows.length
  }

  /** Whether there are charges to build from. */
  isComplete(): boolean {
    return this.#unbuilt.get(1) === undefined
  }

  #collect(changes: Changes, charge: Charge, key: number, sums: SpendSums): void {
    const tagged = countedTags(charge).map((tag) => this.#key(tag, namesOf(charge)))
    for (const place of placesOf(charge, key, tagged)) changes.add(place, sums)
  }

  #apply(changes: Changes): void {
    for (const { place, sums } of changes.all()) {
      const row = this.#read.get(...place)
      const after = addSums(row ? rowToSums(row) : NO_SUMS, sums)
      // Sums that lag behind, because an older Tollway wrote the ledger meanwhile, must not stop a payment from being booked.
      if (after.charges <= 0) this.#drop.run(...place)
      else this.#write.run(...place, ...sumsToValues(notBelowZero(after)))
    }
  }

  #key(tag: string, names: SpendNames): number {
    const { route, model, remoteModel, payer, seller, caller, network, symbol, decimals } = names
    const values = [tag, route, model, remoteModel, payer, seller, caller, network, symbol, decimals]
    const row = this.#findKey.get(...values)
    return row ? integer(row, 'id') : Number(this.#addKey.run(...values).lastInsertRowid)
  }
}
