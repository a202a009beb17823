/** Instances in the Postgres ledger. Called inside the store's transactions. */
import type { Charge } from '../../../core/charge/charge.ts'
import type { Instance, InstanceStore } from '../contracts/instances.ts'
import { rowToInstance } from '../rows/rows.ts'
import { retiredCharge, unknownInstance } from '../rules/charge-rules.ts'
import type { ChargeTable } from './charge-table.ts'
import type { PostgresCharges } from './charges.ts'
import type { Transaction } from './database/transaction.ts'

/** The instances of the Postgres ledger. */
export class PostgresInstances implements InstanceStore {
  readonly #db: Transaction
  readonly #table: ChargeTable
  readonly #charges: PostgresCharges

  constructor(db: Transaction, table: ChargeTable, charges: PostgresCharges) {
    this.#db = db
    this.#table = table
    this.#charges = charges
  }

  async register({ id, host, pid, processStart, startedAt, heartbeatAt }: Instance): Promise<void> {
    await this.#db.run(
      `INSERT INTO instances (id, host, pid, process_start, started_at, heartbeat_at) VALUES (?, ?, ?, ?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET host = excluded.host, pid = excluded.pid, process_start = excluded.process_start,
        started_at = excluded.started_at, heartbeat_at = excluded.heartbeat_at, retired_at = NULL`,
      id,
      host,
      pid,
      processStart,
      startedAt,
      heartbeatAt,
    )
  }

  async heartbeat(id: string, at: number): Promise<void> {
    const known = await this.#db.run('UPDATE instances SET heartbeat_at = ? WHERE id = ?', at, id)
    if (known === 0) throw unknownInstance(id)
  }

  async instances(): Promise<Instance[]> {
    const rows = await this.#db.all(`SELECT * FROM instances WHERE retired_at IS NULL OR EXISTS (
      SELECT 1 FROM charges WHERE instance = instances.id AND state IN ('held', 'authorized')
    ) OR EXISTS (SELECT 1 FROM untold WHERE instance = instances.id) ORDER BY started_at, id`)
    return rows.map(rowToInstance)
  }

  async retire(id: string, at: number, reason: string, by?: string): Promise<Charge[]> {
    const steps = (await this.#table.openOf(id)).flatMap((before) => {
      const after = retiredCharge(before, at, reason)
      return after ? [{ before, after, by }] : []
    })
    if (steps.length > 0) await this.#charges.change(steps)
    await this.#db.run('UPDATE instances SET retired_at = ? WHERE id = ?', at, id)
    return steps.map(({ after }) => after)
  }
}
