/**
 * Repeats under changing health: `node test/campaigns/idempotency.ts [--requests 1000] [--seed N]`. Two gateways on one ledger,
 * whose routes cool down, heal, are renamed and change places between the attempts of one request; no request is paid twice.
 * Loopback only; ends by itself, with exit code 1 when one was.
 */
import { parseArgs } from 'node:util'
import { renderTable } from '../../src/app/cli/output/table.ts'
import { runRepeats } from './idempotency/campaign.ts'

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '1000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
})
process.stdout.write(`seed ${values.seed}\n`)
const { requests, attempts, paid, paidTwice, replayed } = await runRepeats(
  Number(values.requests),
  Number(values.seed),
)
const rows = [...requests].map(([way, count]) => [way, String(count), String(attempts.get(way) ?? 0)])
process.stdout.write(renderTable(['RECOGNISED BY', 'REQUESTS', 'ATTEMPTS'], rows))
process.stdout.write(`${paid} requests paid, ${replayed} attempts answered as repeats\n`)
process.stdout.write(`paid more than once: ${paidTwice.length}\n`)
for (const request of paidTwice) process.stdout.write(`  ${request}\n`)
if (paidTwice.length > 0) process.exitCode = 1
