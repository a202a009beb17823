import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { generatePrivateKey } from 'viem/accounts'
import * as middleware from '../../middleware/index.ts'
import { Child } from '../kit/child.ts'
import { ask } from '../kit/gateway.ts'
import { blocksOf, substitute } from '../kit/markdown.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'

const ROOT = join(import.meta.dirname, '../..')
const PRELOAD = new URL('../kit/run-examples.ts', import.meta.url).href
const page = await readFile(join(ROOT, 'docs/middlewares.md'), 'utf8')

test('the chain of docs/middlewares.md pays, and hands on what no route claims', async () => {
  const seller = await startScriptedSeller()
  const directory = await mkdtemp(join(tmpdir(), 'tollway-parts-'))
  onTestFinished(async () => {
    await seller.close()
    await rm(directory, { recursive: true, force: true })
  })
  await symlink(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
  const block = blocksOf(page).find(({ marker }) => marker === 'parts')
  const local = substitute(block?.text ?? '', 'https://seller.example.com/v1', seller.apiBase)
  await writeFile(join(directory, 'app.mjs'), substitute(local, '8402', '0'))
  const child = new Child(process.execPath, ['--import', PRELOAD, 'app.mjs'], {
    cwd: directory,
    env: { ...process.env, TOLLWAY_WALLET_KEY: generatePrivateKey() },
  })
  onTestFinished(() => child.kill('SIGKILL'))
  const [, port] = await child.says(/listening on port (\d+)/)
  const url = `http://127.0.0.1:${port}`
  const paid = await ask(url, { model: 'paid/m' })
  expect([paid.status, paid.headers.get('x-tollway-spent')]).toEqual([200, 'yes'])
  expect((await ask(url, { model: 'other' })).status).toBe(404)
  expect(seller.payments).toHaveLength(1)
})

test('the page has a row for every middleware', () => {
  const rows = page.split('\n').filter((line) => /^\| \[?`/.test(line))
  const named = new Set(
    rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name]) => name)),
  )
  const helpers =
    /^(?:assertOrder|clientErrorHandler|compileRoutes|create\w+|exchangeOf|hashKey|isWebSocketUpgrade|mayUse|openLedger|reportUsage|restream|takesReply|upgradeHandler)$/
  const factories = Object.entries(middleware)
    .filter(([name, value]) => typeof value === 'function' && /^[a-z]/.test(name) && !helpers.test(name))
    .map(([name]) => name)
  expect(factories.length).toBeGreaterThan(10)
  expect(factories.filter((name) => !named.has(name))).toEqual([])
})
