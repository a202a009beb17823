/** Budgets of keys that are added while a gateway runs. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { loadConfig } from '../../src/app/config/load.ts'
import { openCallers } from '../../src/app/wiring/open-callers.ts'
import { currentBudgets } from '../../src/app/wiring/current-budgets.ts'
import { listKeys } from '../../src/app/operations/caller-keys.ts'
import { silentLog } from '../../src/core/log.ts'
import { configFile } from '../config/config-file.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'

const CONFIG = `
callers: [{ id: fixed, key: "\${env:K}", budget_usd: 3/day }]
keys: { path: ./keys.json }
`

function setUp() {
  const directory = mkdtempSync(join(tmpdir(), 'tollway-key-budgets-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const path = configFile(CONFIG, directory)
  return { path, config: loadConfig(path, { K: 'key' }) }
}

const keys = async (path: string, ...args: string[]): Promise<{ code: number; out: string; err: string }> => {
  const terminal = new FakeTerminal({ K: 'key' })
  const code = await run(['keys', ...args, '--config', path], terminal)
  return { code, out: terminal.out, err: terminal.err }
}

test('a key is made with budgets and a team, which join those of the file', async () => {
  const { path, config } = setUp()
  expect((await keys(path, 'add', 'ci', '--budget-usd', '1/day', '20/month', '--team', 'search')).code).toBe(
    0,
  )
  expect(listKeys(config)[0]).toMatchObject({ id: 'ci', team: 'search', budget_usd: ['1/day', '20/month'] })
  expect((await keys(path, 'list')).out).toContain('$1/day, $20/month, team search')

  const source = openCallers(config, { now: () => Date.now() }, silentLog).source
  expect(source?.callers()[0]).toMatchObject({
    id: 'ci',
    team: 'search',
    budgets: [
      { limit: 1_000_000n, window: 'day' },
      { limit: 20_000_000n, window: 'month' },
    ],
  })
  expect(currentBudgets(config).map(({ name, limits }) => [name, limits])).toEqual([
    [
      'callers.day',
      [
        { subject: 'fixed', limit: 3_000_000n },
        { subject: 'ci', limit: 1_000_000n },
      ],
    ],
    ['callers.month', [{ subject: 'ci', limit: 20_000_000n }]],
  ])
})

test('a budget that is none makes no key', async () => {
  const { path, config } = setUp()
  for (const args of [
    ['--budget-usd', '5'],
    ['--budget-usd', '5/fortnight'],
    ['--team', 'a b'],
  ]) {
    expect(await keys(path, 'add', 'ci', ...args)).toMatchObject({ code: 2 })
  }
  expect(listKeys(config)).toEqual([])
})
