/**
 * What importing the package costs, of the built one: `npm run build && npm run bench:import`. Each entry is imported in
 * processes of its own, one after the other; CPU time of all threads, from before the import to its end.
 */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { median } from './statistics.ts'

const ROOT = join(import.meta.dirname, '..')
const ROUNDS = 11
const ENTRIES = ['tollway/middleware', 'tollway', 'tollway/providers', 'express', 'viem']

const PROGRAM = `
const before = process.cpuUsage()
await import(process.argv[1])
const { user, system } = process.cpuUsage(before)
console.log((user + system) / 1000)`

console.log('CPU milliseconds of an import: the median of %d processes (least to most)', ROUNDS)
for (const entry of ENTRIES) {
  const samples = Array.from({ length: ROUNDS }, () =>
    Number(
      execFileSync(process.execPath, ['--input-type=module', '--eval', PROGRAM, entry], {
        cwd: ROOT,
        encoding: 'utf8',
      }),
    ),
  )
  const [least, middle, most] = [Math.min(...samples), median(samples), Math.max(...samples)]
  console.log(`${entry.padEnd(20)} ${middle.toFixed(0)} (${least.toFixed(0)} to ${most.toFixed(0)})`)
}
