/** Executes every block of docs/budgets.md. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { MAIN } from '../kit/program.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { Child, run, type Ended } from '../kit/child.ts'
import { ask, errorOf } from '../kit/gateway.ts'
import { blocksOf, substitute } from '../kit/markdown.ts'

const ROOT = join(import.meta.dirname, '../..')
const page = await readFile(join(ROOT, 'docs/budgets.md'), 'utf8')
const env = {
  ...process.env,
  NO_COLOR: '1',
  OPENCLAW_KEY: 'key-of-openclaw',
  CI_KEY: 'key-of-ci',
  TOLLWAY_WALLET_KEY: localAccounts().buyer.privateKey,
}

let seller: ScriptedSeller
let directory: string

beforeAll(async () => {
  seller = await startScriptedSeller()
  directory = await mkdtemp(join(tmpdir(), 'tollway-budgets-'))
  const config = substitute(block('budgets'), 'https://seller.example.com/v1', seller.apiBase)
  await writeFile(join(directory, 'tollway.yaml'), config)
})
afterAll(async () => {
  await seller?.close()
  await rm(directory, { recursive: true, force: true })
})

function block(marker: string): string {
  const found = blocksOf(page).find((candidate) => candidate.marker === marker)
  if (!found) throw new Error(`docs/budgets.md has no block marked <!-- ${marker} -->`)
  return found.text
}

/** Runs one documented line of the command. */
async function line(text: string): Promise<Ended> {
  const [npx, name, ...args] = text.split(' ')
  expect([npx, name]).toEqual(['npx', 'tollway'])
  return await run(process.execPath, [MAIN, ...args], { cwd: directory, env })
}

test('the configuration limits what it says, and the commands show it', async () => {
  const gateway = new Child(process.execPath, [MAIN, 'serve', '--listen', '127.0.0.1:0'], {
    cwd: directory,
    env,
  })
  onTestFinished(() => gateway.kill('SIGKILL'))
  const [, url = ''] = await gateway.says(/ready at (http:\/\/127\.0\.0\.1:\d+)/)
  const call = async (caller: string, n: number, tags: string): Promise<Response> => {
    const headers = { authorization: `Bearer key-of-${caller}`, 'x-tollway-tags': tags }
    return await ask(url, { model: 'paid/x', seed: n }, headers)
  }
  for (const n of [1, 2]) expect((await call('ci', n, 'team:search, agent:main')).status).toBe(200)
  const stopped = await call('ci', 3, 'team:search')
  expect(stopped.status).toBe(402)
  const sample =
    blocksOf(page)
      .find(({ text }) => text.startsWith('Usage limit reached'))
      ?.text.trimEnd() ?? ''
  const withoutInstant = (text: string): string => text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z$/, '<instant>')
  expect(withoutInstant((await errorOf(stopped)).message)).toBe(withoutInstant(sample))
  expect((await call('openclaw', 4, 'nobody')).status).toBe(200)

  const [check = '', budgets = '', json = ''] = block('look').trimEnd().split('\n')
  expect(await line(check)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^tollway\.yaml is valid\./),
  })
  const shown = await line(budgets)
  expect(shown).toMatchObject({ code: 0, stderr: '' })
  expect(shown.stdout).toMatch(/\nall +- +day +\$5 +\$0\.003 /)
  expect(shown.stdout).toMatch(/\neach-caller +ci +24h +\$0\.002 +\$0\.002 +\$0 +\$0 +\$0 +per charge\n/)
  const told = JSON.parse((await line(json)).stdout) as { budgets: Record<string, unknown>[] }
  expect(
    told.budgets.map(({ budget, subject, spent_usd, spent }) => [budget, subject, spent_usd ?? spent]),
  ).toEqual([
    ['all', '*', '0.003'],
    ['steady', '*', '0.003'],
    ['each-caller', 'ci', '0.002'],
    ['each-caller', 'openclaw', '0.001'],
    ['teams', 'agent:main', '0.002'],
    ['teams', 'other', '0.001'],
    ['teams', 'team:search', '0.002'],
    ['coins', '*', '3000'],
    ['callers', 'ci', '0.002'],
    ['callers', 'openclaw', '0.001'],
    ['by-team', 'home', '0.001'],
    ['by-team', 'search', '0.002'],
    ['dear', '*', '0'],
    ['sessions', 'other', '0.003'],
    ['idea', 'paid/*', '0.003'],
    ['callers.day', 'ci', '0.002'],
    ['callers.month', 'ci', '0.002'],
  ])
  gateway.kill('SIGTERM')
  expect(await gateway.end()).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('budget idea (model paid/*)'),
  })
})
