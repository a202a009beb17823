/** The control: a gateway whose ledger does not wait for the disk. The trace must show it. */
import { DatabaseSync } from 'node:sqlite'

// oxlint-disable-next-line typescript/unbound-method -- called with the connection as its `this`
const { exec } = DatabaseSync.prototype
DatabaseSync.prototype.exec = function execWithoutSync(this: DatabaseSync, sql: string): void {
  exec.call(this, sql.replace('synchronous = FULL', 'synchronous = OFF'))
}
