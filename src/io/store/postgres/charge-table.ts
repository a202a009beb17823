/** The table of charges. Called inside the store's transactions; the parts of the store share it. */
import type { Charge } from '../../../core/charge/charge.ts'
import { changesToRow, chargeToRow, rowToCharge } from '../rows/rows.ts'
import { unknownCharge } from '../rules/charge-rules.ts'
import { json, type Transaction } from './database/transaction.ts'

/** What identifies an authorization. */
export interface Nonce {
  readonly from: string
  readonly network: string
  readonly asset: string
  readonly nonce: string
}

const BY_NONCE = 'SELECT * FROM charges WHERE from_address = ? AND network = ? AND asset = ? AND nonce = ?'

/** Charges by id. */
export class ChargeTable {
  readonly #db: Transaction

  constructor(db: Transaction) {
    this.#db = db
  }

  async get(id: string): Promise<Charge | undefined> {
    const row = await this.#db.get('SELECT * FROM charges WHERE id = ?', id)
    return row && rowToCharge(row)
  }

  /** The charge as it is and stays until the transaction ends; `undefined` when there is none. */
  async lock(id: string): Promise<Charge | undefined> {
    const row = await this.#db.get('SELECT * FROM charges WHERE id = ? FOR UPDATE', id)
    return row && rowToCharge(row)
  }

  /** The same. @throws Error when there is no such charge */
  async find(id: string): Promise<Charge> {
    const charge = await this.lock(id)
    if (!charge) throw unknownCharge(id)
    return charge
  }

  /**
   * Adds a charge.
   * @param key what it is added up by; see history/rollups.ts
   * @returns false when its id is taken
   */
  async insert(charge: Charge, key: number): Promise<boolean> {
    const added = await this.#db.run(
      `INSERT INTO charges SELECT * FROM jsonb_populate_recordset(NULL::charges, ?::jsonb) ON CONFLICT (id) DO NOTHING`,
      json([{ ...chargeToRow(charge), key }]),
    )
    return added === 1
  }

  async update(charge: Charge): Promise<void> {
    const changes = changesToRow(charge)
    const columns = Object.keys(changes).map((column) => `${column} = ?`)
    await this.#db.run(
      `UPDATE charges SET ${columns.join(', ')} WHERE id = ?`,
      ...Object.values(changes),
      charge.id,
    )
  }

  /** Charges of an instance that are `held` or `authorized`, by reservation. They stay so until the transaction ends. */
  async openOf(instance: string): Promise<Charge[]> {
    const rows = await this.#db.all(
      `SELECT * FROM charges WHERE instance = ? AND state IN ('held', 'authorized')
      ORDER BY reserved_at, id FOR UPDATE`,
      instance,
    )
    return rows.map(rowToCharge)
  }

  /** The charge that an authorization was recorded with, as it stays until the transaction ends. */
  async recordedWith({ from, network, asset, nonce }: Nonce): Promise<Charge | undefined> {
    const row = await this.#db.get(`${BY_NONCE} FOR UPDATE`, from, network, asset, nonce)
    return row && rowToCharge(row)
  }

  /** Whether an authorization was recorded with any charge: a nonce is used once, for ever (rule 5). */
  async isRecorded({ from, network, asset, nonce }: Nonce): Promise<boolean> {
    return (await this.#db.get(BY_NONCE, from, network, asset, nonce)) !== undefined
  }
}
