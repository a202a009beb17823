/** Commands that only read, or take something away, on a machine where no secret of the configuration is at hand. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import { configFile } from '../config/config-file.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { FakeTerminal } from './fake-terminal.ts'

const CONFIG = `
upstream: { api_base: "http://127.0.0.1:9/v1", api_key: "\${env:UNSET_UPSTREAM}" }
callers: [{ id: fixed, key: "\${env:UNSET_CALLER}" }, { id: other, key: "\${file:./no such file}" }]
keys: { path: ./keys.json }
admin: { key: "\${env:UNSET_ADMIN}" }
metrics: { token: "\${env:UNSET_METRICS}" }
payers:
  wallet: { kind: direct, key: "\${env:UNSET_WALLET}", networks: [base-sepolia] }
model_list:
  - { model_name: "paid/*", model: "*", api_base: "http://127.0.0.1:9/v1", payer: wallet }
  - { model_name: gpt, api_base: "http://127.0.0.1:9/v1", api_key: "\${env:UNSET_OPENAI}" }
`

const directories: string[] = []
let config: string
let signed: string

beforeAll(async () => {
  config = await withLedger(CONFIG)
  signed = await withLedger(`${CONFIG}audit: { signing_key: "\${env:UNSET_SIGNING}", retain: 3 }\n`)
})
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})

async function withLedger(text: string): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'tollway-secrets-'))
  directories.push(directory)
  await openSqliteStore({ path: join(directory, 'tollway.db') }).close()
  return configFile(text, directory)
}

async function tollway(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const terminal = new FakeTerminal()
  const code = await run(args, terminal)
  return { code, stdout: terminal.out, stderr: terminal.err }
}

describe('without any secret at hand', () => {
  test.each<string[]>([
    ['budgets'],
    ['report'],
    ['report', '--policy'],
    ['list'],
    ['status'],
    ['sellers', 'list'],
    ['keys', 'list'],
    ['init', 'openclaw', '--kind', 'litellm'],
    ['init', 'litellm'],
    ['init', 'prometheus'],
  ])('tollway %s %s does its work', async (...args: string[]) => {
    const words = args[1] === '--policy' ? [...args, config] : args
    const { code, stderr } = await tollway([...words, '--config', config])
    expect([stderr, code]).toEqual(['', 0])
  })

  test('a key is made, taken away, and both are on record', async () => {
    for (const args of [
      ['add', 'ci'],
      ['revoke', 'ci'],
    ]) {
      expect((await tollway(['keys', ...args, '--config', config])).code).toBe(0)
    }
    const record = join(dirname(config), 'audit.cli.jsonl')
    expect((await tollway(['audit', 'verify', record, '--config', config])).code).toBe(0)
    const trust = ['sellers', 'trust', 'http://127.0.0.1:9/v1', '0x209693bc6afc0c5328ba36faf03c514ef312287c']
    expect((await tollway([...trust, '--config', config])).stderr).toBe('')
  })

  test('payments are reconciled as far as there are nodes', async () => {
    const { stderr } = await tollway(['reconcile', '--config', config])
    expect(stderr).toContain('no node is configured')
    expect(stderr).not.toContain('UNSET')
  })

  test('an address is probed with a configuration at hand', async () => {
    const free = await startScriptedSeller((_request, response) => void response.end('free'))
    const { code, stdout } = await tollway(['probe', free.apiBase, '--config', config])
    await free.close()
    expect([code, stdout]).toEqual([1, expect.stringContaining('does not ask for payment')])
  })

  test('what only reads the ledger needs no signing key, and what is recorded does', async () => {
    expect((await tollway(['budgets', '--config', signed])).code).toBe(0)
    const { code, stderr } = await tollway(['keys', 'revoke', 'ci', '--config', signed])
    expect([code, stderr]).toEqual([2, expect.stringContaining('UNSET_SIGNING')])
    expect(stderr).not.toContain('UNSET_WALLET')
  })

  test('mistakes are found all the same: a secret in plain text, and an unknown key', async () => {
    const wrong = configFile(`${CONFIG}admin2: 1\n`.replace('${env:UNSET_ADMIN}', 'in-plain-text-123'))
    const { code, stderr } = await tollway(['budgets', '--config', wrong])
    expect([code, stderr]).toEqual([2, expect.stringContaining('admin2')])
    expect(stderr).toContain('plain text')
  })

  test('mistakes are JSON where JSON was asked for', async () => {
    const wrong = configFile('budgets: 1\n')
    for (const command of ['budgets', 'check', 'report']) {
      const { code, stdout, stderr } = await tollway([command, '--json', '--config', wrong])
      expect([code, stderr]).toEqual([2, ''])
      expect(JSON.parse(stdout)).toMatchObject({ ok: false, problems: [{ path: 'budgets' }] })
    }
  })

  test('a gateway, and a command that pays, ask for every one of them', async () => {
    for (const args of [['check'], ['balance']]) {
      const { code, stdout, stderr } = await tollway([...args, '--config', config])
      expect([args, code]).toEqual([args, 2])
      for (const name of ['UPSTREAM', 'CALLER', 'ADMIN', 'METRICS', 'WALLET', 'OPENAI']) {
        expect(`${stdout}${stderr}`).toContain(`UNSET_${name}`)
      }
    }
  })
})
