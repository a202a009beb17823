import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parse } from 'yaml'
import { expect, test } from 'vitest'
import { parseConfig } from '../../src/app/config/load.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { agentcashHome } from '../kit/agentcash-home.ts'
import { Child } from '../kit/child.ts'
import { freePort } from '../kit/free-port.ts'
import { blocksOf } from '../kit/markdown.ts'
import { MAIN } from '../kit/program.ts'

const ROOT = resolve(import.meta.dirname, '../..')

async function block(page: string, marker: string): Promise<string> {
  const blocks = blocksOf(await readFile(join(ROOT, 'docs', page), 'utf8'))
  const found = blocks.find((one) => one.marker === marker)
  if (!found) throw new Error(`${page} has no block ${marker}`)
  return found.text
}

test.each([
  ['agentcash.md', 'payers', ['wallet', 'server', 'command']],
  ['obol-sidecar.md', 'sidecar', ['obol']],
])('the configuration of %s is right', async (page, marker, payers) => {
  const config = parseConfig(parse(await block(page, marker)), {})
  expect([...config.payers.keys()]).toEqual(payers)
})

test('the command of agentcash.md stands in for blockrun-openclaw-proxy', async () => {
  const words = (await block('agentcash.md', 'blockrun')).trim().split(' ')
  expect(words).toEqual(['BLOCKRUN_DRY_RUN=1', 'tollway', 'serve', '--blockrun'])
  const home = await agentcashHome(localAccounts().buyer)
  const env = { ...process.env, BLOCKRUN_DRY_RUN: '1', HOME: home.path, PORT: String(await freePort()) }
  const child = new Child(process.execPath, [MAIN, ...words.slice(2)], { cwd: ROOT, env })
  try {
    const [, url = ''] = await child.says(/ready at (http:\/\/127\.0\.0\.1:\d+)\/v1/)
    expect(url).toBe(`http://127.0.0.1:${env.PORT}`)
    expect(await (await fetch(`${url}/health`)).json()).toMatchObject({ ok: true, dry_run: true })
  } finally {
    child.kill('SIGTERM')
    expect((await child.end()).code).toBe(0)
    await home.close()
  }
})
