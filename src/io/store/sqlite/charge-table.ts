/** The table of charges. Called inside the store's transactions; the parts of the store share it. */
import type { SQLInputValue, StatementSync } from 'node:sqlite'
import type { Charge } from '../../../core/charge/charge.ts'
import { unknownCharge } from '../rules/charge-rules.ts'
import type { Connection } from './file/file.ts'
import { changesToRow, chargeToRow, rowToCharge } from '../rows/rows.ts'

const CHARGE_COLUMNS = [
  'id',
  'instance',
  'request_id',
  'caller',
  'model',
  'route',
  'payer',
  'seller',
  'api_base',
  'network',
  'asset',
  'symbol',
  'decimals',
  'pay_to',
  'amount',
  'micro_usd',
  'reserved_at',
  'lease_until',
  'remote_model',
  'tags',
] as const

const CHANGING_COLUMNS = [
  'state',
  'proof',
  'from_address',
  'nonce',
  'valid_after',
  'valid_before',
  'method',
  'scheme',
  'charged',
  'own_signature',
  'memo',
  'blockhash',
  'last_valid_height',
  'signed_slot',
  'source_account',
  'tx',
  'reason',
  'updated_at',
] as const

const ALL_COLUMNS = [...CHARGE_COLUMNS, ...CHANGING_COLUMNS, 'key']

/** What identifies an authorization. */
interface Nonce {
  readonly from: string
  readonly network: string
  readonly asset: string
  readonly nonce: string
}

/** Charges by id. */
export class ChargeTable {
  readonly #get: StatementSync
  readonly #insert: StatementSync
  readonly #update: StatementSync
  readonly #openOf: StatementSync
  readonly #recorded: StatementSync

  /** @throws Error when the table is missing: the file is damaged */
  constructor(db: Connection) {
    this.#get = db.prepare('SELECT * FROM charges WHERE id = ?')
    this.#insert = db.prepare(`INSERT INTO charges (${ALL_COLUMNS.join(', ')})
    VALUES (${ALL_COLUMNS.map(() => '?').join(', ')})`)
    this.#update =
      db.prepare(`UPDATE charges SET ${CHANGING_COLUMNS.map((column) => `${column} = ?`).join(', ')}
    WHERE id = ?`)
    // The condition on the state must stay word for word the one of the index charges_open.
    this.#openOf =
      db.prepare(`SELECT * FROM charges INDEXED BY charges_open WHERE instance = ? AND state IN ('held', 'authorized')
    ORDER BY reserved_at, id`)
    this.#recorded = db.prepare(
      'SELECT * FROM charges WHERE from_address = ? AND network = ? AND asset = ? AND nonce = ?',
    )
  }

  get(id: string): Charge | undefined {
    const row = this.#get.get(id)
    return row && rowToCharge(row)
  }

  /** @throws Error when there is no such charge */
  find(id: string): Charge {
    const charge = this.get(id)
    if (!charge) throw unknownCharge(id)
    return charge
  }

  /** @param key what it is added up by; see history/rollups.ts */
  insert(charge: Charge, key: number): void {
    const row: Record<string, SQLInputValue> = { ...chargeToRow(charge), key }
    this.#insert.run(...ALL_COLUMNS.map((column) => row[column] ?? null))
  }

  update(charge: Charge): void {
    const row = changesToRow(charge)
    this.#update.run(...CHANGING_COLUMNS.map((column) => row[column] ?? null), charge.id)
  }

  /** Charges of an instance that are `held` or `authorized`, by reservation. */
  openOf(instance: string): Charge[] {
    return this.#openOf.all(instance).map(rowToCharge)
  }

  /** The charge that an authorization was recorded with. */
  recordedWith({ from, network, asset, nonce }: Nonce): Charge | undefined {
    const row = this.#recorded.get(from, network, asset, nonce)
    return row && rowToCharge(row)
  }

  /** Whether an authorization was recorded with any charge: a nonce is used once, for ever (rule 5). */
  isRecorded({ from, network, asset, nonce }: Nonce): boolean {
    return this.#recorded.get(from, network, asset, nonce) !== undefined
  }
}
