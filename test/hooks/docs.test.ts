import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { generatePrivateKey } from 'viem/accounts'
import { HOOK_POINTS } from '../../src/core/hooks/hooks.ts'
import { Child } from '../kit/child.ts'
import { ask, errorOf } from '../kit/gateway.ts'
import { blocksOf, substitute } from '../kit/markdown.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'

const ROOT = join(import.meta.dirname, '../..')
const PRELOAD = new URL('../kit/run-examples.ts', import.meta.url).href
const page = await readFile(join(ROOT, 'docs/hooks.md'), 'utf8')

test('the page has a row for every hook', () => {
  const rows = page.split('\n').flatMap((line) => /^\| `(\w+)`/.exec(line)?.[1] ?? [])
  expect(rows).toEqual([...HOOK_POINTS])
})

test('the example of docs/hooks.md tells of payments and refuses one', async () => {
  const seller = await startScriptedSeller()
  const directory = await mkdtemp(join(tmpdir(), 'tollway-hooks-page-'))
  onTestFinished(async () => {
    await seller.close()
    await rm(directory, { recursive: true, force: true })
  })
  await symlink(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
  const block = blocksOf(page).find(({ marker }) => marker === 'hooks')
  await writeFile(join(directory, 'app.mjs'), substitute(block?.text ?? '', '8402', '0'))
  await writeFile(
    join(directory, 'tollway.yaml'),
    [
      'payers: { base: { kind: direct, key: "${env:TOLLWAY_WALLET_KEY}", networks: [base-sepolia] } }',
      `model_list: [{ model_name: "paid/*", model: "*", api_base: "${seller.apiBase}", payer: base }]`,
      '',
    ].join('\n'),
  )
  const child = new Child(process.execPath, ['--import', PRELOAD, 'app.mjs'], {
    cwd: directory,
    env: { ...process.env, TOLLWAY_WALLET_KEY: generatePrivateKey() },
  })
  onTestFinished(() => child.kill('SIGKILL'))
  const [, port] = await child.says(/listening on port (\d+)/)
  const url = `http://127.0.0.1:${port}`
  expect((await ask(url, { model: 'paid/m' })).status).toBe(200)
  await child.says(/paying 1000 units of USDC for anonymous/)
  await child.says(/chg_\w+ settled: 0x\w{64}/)
  const refused = await ask(url, { model: 'paid/opus-5' })
  expect([refused.status, (await errorOf(refused)).code]).toEqual([400, 'hook_refused'])
  await child.says(/refused: hook_refused opus_is_for_ann/)
  expect(seller.payments).toHaveLength(1)
})
