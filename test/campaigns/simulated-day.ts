/**
 * A simulated day: `node test/campaigns/simulated-day.ts [--seed 1] [--steps 96] [--burst 8]`. 24 hours of mixed traffic against the
 * official sellers and a local chain; at the end ledger, charges, metrics, audit file and chain must say the same, to the atom.
 * Ends with 0 when they do.
 */
import { parseArgs } from 'node:util'
import { simulateDay } from './simulated-day/day.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    steps: { type: 'string', default: '96' },
    burst: { type: 'string', default: '8' },
  },
})
const [seed, steps, burst] = [Number(values.seed), Number(values.steps), Number(values.burst)]
console.log(`seed ${seed}`)
const began = performance.now()
const { books, answers, reconciled, ...report } = await simulateDay({ seed, steps, burst })
const seconds = ((performance.now() - began) / 1000).toFixed(0)
console.log(`${report.from} to ${report.to}, clocks changed ${report.clockChange}; took ${seconds} s`)
console.log(`${report.requests} requests`)
for (const [answer, count] of Object.entries(answers))
  console.log(`  ${String(count).padStart(4)}  ${answer}`)
console.log(
  `charges: ${Object.entries(books.states)
    .map(([state, count]) => `${count} ${state}`)
    .join(', ')}`,
)
console.log(`decided by the chain: ${reconciled.settled} settled, ${reconciled.released} released`)
for (const way of ['ledger', 'charges', 'metrics', 'audit', 'chain'] as const) {
  console.log(`spent by ${way}: ${books[way]}`)
}
console.log(`${books.windows} windows held against their charges; differences: ${books.differences.length}`)
for (const difference of books.differences) console.log(`  ${difference}`)
process.exitCode = books.differences.length === 0 && books.chain > 0n ? 0 : 1
