import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { playConfig } from '../../src/app/sandbox/play-config.ts'
import { freePort } from '../kit/free-port.ts'
import { ask, startGateway } from '../kit/gateway.ts'
import { MAIN } from '../kit/program.ts'

test('the sandbox tells where everything is, and Ctrl-C leaves nothing behind', async () => {
  const child = spawn(process.execPath, [MAIN, 'sandbox', '--json', '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exit = once(child, 'exit')
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  const facts = JSON.parse(line) as Record<'base_url' | 'dashboard' | 'metrics' | 'files', string> & {
    chain: { rpc: string }
    sellers: Record<string, string>
    config: object
    config_file: string
    key_variable: string
    wallet: { private_key: string }
  }
  expect(facts).toMatchObject({
    wallet: { usdc_atomic: '1000000000' },
    seller: { usdc_atomic: '0' },
    models: ['paid/sandbox-small', 'official/sandbox-small', 'v1/sandbox-small', 'free/sandbox-small'],
  })
  for (const url of [`${facts.base_url}/models`, facts.dashboard, facts.metrics])
    expect((await fetch(url)).status).toBe(200)
  expect(existsSync(facts.files)).toBe(true)

  // What an app of one's own needs to pay the same sellers.
  const app = await mkdtemp(join(tmpdir(), 'tollway-own-app-'))
  onTestFinished(() => rm(app, { recursive: true, force: true }))
  process.env[facts.key_variable] = facts.wallet.private_key
  const files = { store: `sqlite:${join(app, 'tollway.db')}`, audit: { path: join(app, 'audit.jsonl') } }
  expect(parse(await readFile(facts.config_file, 'utf8'))).toEqual(facts.config)
  const own = await startGateway({ ...facts.config, ...files })
  onTestFinished(() => own.close())
  const answer = await ask(own.url, { model: 'paid/sandbox-small' })
  expect([answer.status, answer.headers.get('x-tollway-spent')]).toEqual([200, 'yes'])
  const { charges } = (await (await fetch(`${own.url}/api/charges`)).json()) as { charges: object[] }
  expect(charges).toMatchObject([{ state: 'settled' }])
  // No explorer knows the sandbox's chain.
  expect(charges[0]).not.toHaveProperty('transaction_url')
  for (const seller of ['streaming', 'official', 'v1', 'free'])
    expect(facts.sellers[seller]).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/.*v1$/)
  await own.close()

  child.kill('SIGINT')
  expect(await exit).toEqual([0, null])
  expect(existsSync(facts.files)).toBe(false)
  // The chain's process is gone with its listener.
  await expect(fetch(facts.chain.rpc, { method: 'POST', body: '{}' })).rejects.toThrow('fetch failed')
})

test('with a configuration of init --sandbox, chain and sellers listen where it says, and a first call is on the page', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tollway-play-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  await writeFile(join(directory, 'play-money.key'), localAccounts().buyer.privateKey, { mode: 0o600 })
  const ports = {
    chain: await freePort(),
    streaming: await freePort(),
    official: await freePort(),
    v1: await freePort(),
  }
  const file = join(directory, 'tollway.yaml')
  await writeFile(file, playConfig(ports, `127.0.0.1:${await freePort()}`))
  const child = spawn(process.execPath, [MAIN, 'sandbox', '--config', file, '--call'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exit = once(child, 'exit')
  let out = ''
  for await (const line of createInterface({ input: child.stdout })) {
    out += `${line}\n`
    if (line.startsWith('Ctrl-C')) break
  }
  expect(out).toMatch(
    /^Ask +paid\/sandbox-small: Who pays for this answer\?\nAnswer +\S.+\n\nTollway sandbox/,
  )
  expect(out).toContain(`Budgets     those in ${file}`)
  const [, url = ''] = /Base URL +(\S+)\/v1/.exec(out) ?? []
  const { charges } = (await (await fetch(`${url}/api/charges`)).json()) as { charges: object[] }
  expect(charges).toMatchObject([{ state: 'settled' }])
  child.kill('SIGINT')
  expect(await exit).toEqual([0, null])
  expect(existsSync(file)).toBe(true)
})
