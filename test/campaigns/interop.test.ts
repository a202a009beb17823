/** The official client beside ours at every interop case, and the table that says so. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { interopFaults, renderInterop, runInterop } from './interop/run.ts'

test('ours pays wherever the official client pays, refuses what must not be paid, and docs/verification.md has the table', async () => {
  const rows = await runInterop()
  const table = renderInterop(rows)
  expect(interopFaults(rows), table).toEqual([])
  const page = readFileSync(join(import.meta.dirname, '../../docs/verification.md'), 'utf8')
  expect(page, 'run: node test/campaigns/interop.ts --write').toContain(table)
}, 300_000)
