/**
 * Order on disk: `node test/campaigns/order-on-disk.ts [--payments 2000] [--parallel 32]`. A system-call trace of a real
 * gateway: each charge is synced, in the ledger and in the audit file, before the first byte of its signed request leaves.
 * Ends with 0 when that held for every payment and the control, a gateway that does not sync, was caught.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { traceOrder } from './order-on-disk/campaign.ts'

const { values } = parseArgs({
  options: {
    payments: { type: 'string', default: '2000' },
    parallel: { type: 'string', default: '32' },
  },
})
const [payments, parallel] = [Number(values.payments), Number(values.parallel)]
const report = await traceOrder({ payments, parallel })
const preload = join(import.meta.dirname, 'order-on-disk/no-sync.ts')
const control = await traceOrder({ payments: 20, parallel: 4, preload })
console.log(`${new Date().toISOString().slice(0, 10)}  ${report.payments} payments, ${parallel} in parallel`)
for (const [name, { syncs, charges, most }] of Object.entries({
  ledger: report.ledger,
  audit: report.audit,
})) {
  const mean = (charges / syncs).toFixed(2)
  console.log(`${name}: ${charges} charges made durable by ${syncs} syncs, ${mean} each, ${most} at most`)
}
console.log(`signed requests that left before their charge was durable: ${report.violations.length}`)
for (const violation of report.violations.slice(0, 20)) console.log(`  ${violation}`)
console.log(`control without syncs: ${control.violations.length} of ${control.payments} payments caught`)
const held = report.payments === payments && report.violations.length === 0
process.exitCode = held && control.violations.length === control.payments ? 0 : 1
