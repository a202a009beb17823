import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { run } from '../kit/child.ts'
import { blocksOf } from '../kit/markdown.ts'

const ROOT = join(import.meta.dirname, '../..')

test('rule 2: of 60 concurrent calls through two gateways on one ledger, exactly the 12 that fit the nested budgets pass', async () => {
  const page = await readFile(join(ROOT, 'docs/budgets.md'), 'utf8')
  const line =
    blocksOf(page)
      .find(({ marker }) => marker === 'overshoot')
      ?.text.trimEnd() ?? ''
  const [node, script = '', ...args] = line.split(' ')
  expect([node, script]).toEqual(['node', 'test/campaigns/overshoot.ts'])
  // The documented line in a small size: later options win.
  const small = ['--calls', '60', '--clients', '2', '--gateways', '2', '--fits', '12']
  const ended = await run(process.execPath, [script, ...args, ...small], { cwd: ROOT })
  expect(ended).toMatchObject({ code: 0, stderr: '' })
  const figures = Object.fromEntries(
    ended.stdout.split('\n').map((text) => [text.slice(0, 26).trim(), text.slice(26).trim()]),
  )
  expect(figures).toMatchObject({
    calls: '60 from 2 processes, through 2 gateways',
    passed: '12',
    'stopped by a budget': '48',
    'other answers': 'none',
    'settled in the ledger': '12, and 0 open',
    'payments at the seller': '12, 0 with a nonce seen before',
    overshoot: '0 atoms',
    'audit files': 'whole',
  })
  expect(ended.stdout).toMatch(/^day +\* +12000 +12000\nrolling +\* +12000 +12000\ncaller +client-0 +8000 /m)
})
