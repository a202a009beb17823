/**
 * Random answers, cut, merged and mislabelled, through Tollway and directly into stock clients:
 * `node test/campaigns/differential.ts [--answers 40] [--seed N]`. Loopback only; ends by itself, with exit code 1 when a client
 * read something else.
 */
import { parseArgs } from 'node:util'
import { renderTable } from '../../src/app/cli/output/table.ts'
import { runDifferential } from './differential/campaign.ts'

const { values } = parseArgs({
  options: {
    answers: { type: 'string', default: '40' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
})
process.stdout.write(`seed ${values.seed}\n`)
const { compared, differences } = await runDifferential(Number(values.answers), Number(values.seed))
const rows = [...compared].map(([name, count]) => [name, String(count)])
process.stdout.write(renderTable(['CLIENT, DISTURBANCE', 'ANSWERS'], rows))
process.stdout.write(`different: ${differences.length}\n`)
for (const difference of differences) process.stdout.write(`${difference}\n`)
if (differences.length > 0) process.exitCode = 1
