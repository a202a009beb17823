/**
 * Interoperation: the official client (`@x402/fetch`) and the gateway at the same sellers, official and scripted, case by case:
 * `node test/campaigns/interop.ts [--write]`. `--write` puts the table into docs/verification.md. Loopback only.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { interopFaults, renderInterop, runInterop } from './interop/run.ts'

const rows = await runInterop()
const table = renderInterop(rows)
process.stdout.write(`${table}\n`)
const faults = interopFaults(rows)
for (const fault of faults) process.stdout.write(`fault: ${fault}\n`)
if (process.argv.includes('--write')) {
  const file = join(import.meta.dirname, '../../docs/verification.md')
  const text = readFileSync(file, 'utf8')
  const between = /(<!-- interop -->\n)[^]*?(<!-- \/interop -->)/
  writeFileSync(
    file,
    text.replace(between, (_all, begin: string, end: string) => `${begin}\n${table}\n\n${end}`),
  )
}
process.exitCode = faults.length > 0 ? 1 : 0
