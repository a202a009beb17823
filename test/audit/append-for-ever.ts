/** A process for audit-file.test.ts: appends durable records and tells the hash of each, until killed. */
import { openAuditFile } from '../../src/io/audit/audit-file.ts'

const path = process.argv[2] ?? ''
const file = await openAuditFile({ path, clock: { now: () => Date.now() }, instance: 'ins_child' })
/** Ends by itself, should nobody kill it. */
for (let n = 0; n < 20_000; n++) {
  const { hash } = await file.append('note', { n }, { durable: true })
  process.stdout.write(`${hash}\n`)
}
