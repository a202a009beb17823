/**
 * Hostile 402 replies: `node test/campaigns/hostile-402.ts [--replies 100000] [--sockets 5000] [--sign 5000] [--seed N]`. Whatever
 * a seller answers, nothing crashes, and nothing is signed that policy does not allow. Loopback only; ends by itself; a
 * reply that does harm ends it with its seed and the smallest form of it.
 */
import { parseArgs } from 'node:util'
import { renderTable } from '../../src/app/cli/output/table.ts'
import { fuzzGate, fuzzGateway, type FuzzReport } from './hostile-402/campaign.ts'

const { values } = parseArgs({
  options: {
    replies: { type: 'string', default: '100000' },
    sockets: { type: 'string', default: '5000' },
    sign: { type: 'string', default: '5000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
})
const seed = Number(values.seed)
process.stdout.write(`seed ${seed}\n`)
show('codec and gate', await fuzzGate(Number(values.replies), Number(values.sign), seed))
show('whole gateway, over sockets', await fuzzGateway(Number(values.sockets), seed))

function show(what: string, { outcomes, signed }: FuzzReport): void {
  const rows = [...outcomes].toSorted((a, b) => b[1] - a[1]).map(([name, count]) => [name, String(count)])
  const total = [...outcomes.values()].reduce((sum, count) => sum + count, 0)
  process.stdout.write(`\n${what}: ${total} replies, ${signed} payments signed and held against the judge\n`)
  process.stdout.write(renderTable(['OUTCOME', 'REPLIES'], rows))
}
