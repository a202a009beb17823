/** The table of charges. Called inside the store's transactions; the parts of the store share it. */
import type { AuthorizationRecord, Charge } from '../../../core/charge/charge.ts'
import { changesToRow, chargeToRow, integer, rowToCharge, text } from '../rows/rows.ts'
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

  /** Which of these ids are taken. */
  async known(ids: readonly string[]): Promise<ReadonlySet<string>> {
    const rows = await this.#db.all('SELECT id FROM charges WHERE id = ANY(?::text[])', ids)
    return new Set(rows.map((row) => text(row, 'id')))
  }

  /** The charges as they are and stay until the transaction ends, by id; those that do not exist are left out. */
  async lockAll(ids: readonly string[]): Promise<ReadonlyMap<string, Charge>> {
    const rows = await this.#db.all(
      'SELECT * FROM charges WHERE id = ANY(?::text[]) ORDER BY id FOR UPDATE',
      ids,
    )
    return new Map(rows.map((row) => [text(row, 'id'), rowToCharge(row)]))
  }

  /** Adds charges. @param added each with what it is added up by; see history/rollups.ts */
  insert(added: readonly { readonly charge: Charge; readonly key: number }[]): void {
    if (added.length === 0) return
    this.#db.send(
      'INSERT INTO charges SELECT * FROM jsonb_populate_recordset(NULL::charges, ?::jsonb)',
      json(added.map(({ charge, key }) => ({ ...chargeToRow(charge), key }))),
    )
  }

  /** Writes what charges became. They are locked. */
  update(charges: readonly Charge[]): void {
    if (charges.length === 0) return
    const rows = charges.map((charge) => ({ ...changesToRow(charge), id: charge.id }))
    const columns = Object.keys(rows[0] ?? {}).filter((column) => column !== 'id')
    this.#db.send(
      `UPDATE charges SET ${columns.map((column) => `${column} = became.${column}`).join(', ')}
      FROM jsonb_populate_recordset(NULL::charges, ?::jsonb) AS became WHERE charges.id = became.id`,
      json(rows),
    )
  }

  /** Charges of an instance that are `held` or `authorized`, by reservation. They stay so until the transaction ends. */
  async openOf(instance: string): Promise<Charge[]> {
    const rows = await this.#db.all(
      `SELECT * FROM charges WHERE instance = ? AND state IN ('held', 'authorized') ORDER BY id FOR UPDATE`,
      instance,
    )
    return rows.map(rowToCharge).toSorted((a, b) => a.reservedAt - b.reservedAt || (a.id < b.id ? -1 : 1))
  }

  /** The charge that an authorization was recorded with, as it stays until the transaction ends. */
  async recordedWith({ from, network, asset, nonce }: Nonce): Promise<Charge | undefined> {
    const row = await this.#db.get(`${BY_NONCE} FOR UPDATE`, from, network, asset, nonce)
    return row && rowToCharge(row)
  }

  /** Whether an authorization was recorded with any charge: a nonce is used once, for ever (rule 5). */
  async isRecorded(nonce: Nonce): Promise<boolean> {
    return (await this.recorded([nonce])).size > 0
  }

  /** Which of these were recorded, by {@link nonceName}. */
  async recorded(nonces: readonly Nonce[]): Promise<ReadonlySet<string>> {
    if (nonces.length === 0) return new Set()
    const rows = await this.#db.all(
      `SELECT k.n FROM jsonb_to_recordset(?::jsonb) AS k(n integer, from_address text, network text, asset text, nonce text)
      WHERE EXISTS (SELECT 1 FROM charges WHERE from_address = k.from_address AND network = k.network AND asset = k.asset
        AND nonce = k.nonce)`,
      json(
        nonces.map(({ from, network, asset, nonce }, n) => ({
          n,
          from_address: from,
          network,
          asset,
          nonce,
        })),
      ),
    )
    return new Set(
      rows.flatMap((row) => {
        const found = nonces[integer(row, 'n')]
        return found ? [nonceName(found)] : []
      }),
    )
  }
}

/** The name to lock before a nonce is recorded: of two that record it at the same time, the second one sees the first. */
export function nonceName({ from, network, asset, nonce }: Nonce): string {
  return `nonce ${JSON.stringify([from, network, asset, nonce])}`
}

/** What identifies the authorization of a charge. */
export function nonceOf({ network, asset, authorization }: Charge, record: AuthorizationRecord): Nonce {
  const { from, nonce } = authorization ?? record
  return { from, network, asset, nonce }
}
