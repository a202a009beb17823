/** Instances in the SQLite ledger. Called inside the store's transactions. */
import type { StatementSync } from 'node:sqlite'
import type { Charge } from '../../../core/charge/charge.ts'
import type { Instance, InstanceStore } from '../contracts/instances.ts'
import { retiredCharge, unknownInstance } from '../rules/charge-rules.ts'
import type { InTransaction } from '../synchronous-store.ts'
import type { SqliteAuditOutbox } from './audit-outbox.ts'
import type { ChargeTable } from './charge-table.ts'
import type { SqliteCharges } from './charges.ts'
import type { Connection } from './file/file.ts'
import { rowToInstance } from '../rows/rows.ts'

/** The instances of the SQLite ledger. */
export class SqliteInstances implements InTransaction<InstanceStore> {
  readonly #table: ChargeTable
  readonly #charges: SqliteCharges
  readonly #outbox: SqliteAuditOutbox
  readonly #register: StatementSync
  readonly #heartbeat: StatementSync
  readonly #list: StatementSync
  readonly #retire: StatementSync

  constructor(db: Connection, table: ChargeTable, charges: SqliteCharges, outbox: SqliteAuditOutbox) {
    this.#table = table
    this.#charges = charges
    this.#outbox = outbox
    this.#register =
      db.prepare(`INSERT OR REPLACE INTO instances (id, host, pid, process_start, started_at, heartbeat_at)
    VALUES (?, ?, ?, ?, ?, ?)`)
    this.#heartbeat = db.prepare('UPDATE instances SET heartbeat_at = ? WHERE id = ?')
    this.#list = db.prepare(`SELECT * FROM instances WHERE retired_at IS NULL OR EXISTS (
      SELECT 1 FROM charges WHERE instance = instances.id AND state IN ('held', 'authorized')
    ) OR EXISTS (SELECT 1 FROM untold WHERE instance = instances.id) ORDER BY started_at, id`)
    this.#retire = db.prepare('UPDATE instances SET retired_at = ? WHERE id = ?')
  }

  register({ id, host, pid, processStart, startedAt, heartbeatAt }: Instance): void {
    this.#register.run(id, host, pid, processStart, startedAt, heartbeatAt)
  }

  heartbeat(id: string, at: number): void {
    if (Number(this.#heartbeat.run(at, id).changes) === 0) throw unknownInstance(id)
  }

  instances(): Instance[] {
    return this.#list.all().map(rowToInstance)
  }

  retire(id: string, at: number, reason: string, by?: string): Charge[] {
    const moved: Charge[] = []
    for (const before of this.#table.openOf(id)) {
      const charge = retiredCharge(before, at, reason)
      if (!charge) continue
      this.#charges.change(before, charge)
      this.#outbox.add(charge.id, by)
      moved.push(charge)
    }
    this.#retire.run(at, id)
    return moved
  }
}
