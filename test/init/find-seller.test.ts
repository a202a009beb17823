/** `tollway init --find`: the seller of a first configuration comes from the catalogues that were read. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { loadConfig } from '../../src/app/config/load.ts'
import { start } from '../../src/app/init/starter.ts'
import { newKeystore } from '../../src/io/signer/new-keystore.ts'
import { SERVICES } from '../catalogue/documents.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { temporaryDirectory } from '../config/config-file.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { challengeV2, json, OFFER } from '../kit/seller-answers.ts'

let directory: string
let shop: ScriptedSeller

beforeEach(async () => {
  directory = temporaryDirectory()
  // A wallet that is cheap to open.
  const facts = { network: 'base-sepolia', dailyUsd: '5', ceilingUsd: '1', models: [], force: false }
  start({ ...facts, directory }, (password) => newKeystore(password, 2))
  const listed = ['qwen', 'qwen-large'].map((model) => ({
    ...SERVICES[0],
    name: model,
    model,
    endpoint: `/services/${model}`,
  }))
  shop = await startScriptedSeller(({ url }) =>
    url === '/api/services.json' ? json(listed) : challengeV2([OFFER]),
  )
  await run(
    ['catalog', 'add', shop.url, '--config', at('tollway.yaml'), '--allow-private'],
    new FakeTerminal(),
  )
})
afterEach(() => shop.close())

const at = (name: string): string => join(directory, name)

async function init(args: readonly string[], typed?: readonly string[]) {
  const asked: string[] = []
  const ask = (question: string): Promise<string> => Promise.resolve(typed?.[asked.push(question) - 1] ?? '')
  const terminal = Object.assign(new FakeTerminal(), typed ? { isInteractive: true, ask } : {})
  const code = await run(['init', '--dir', directory, '--force', ...args], terminal)
  return { code, out: terminal.out, err: terminal.err, asked }
}

const routes = () => loadConfig(at('tollway.yaml'), {}).routes

describe('tollway init --find', () => {
  it('writes the best match with what the catalogue pins, and pays nothing', async () => {
    const ended = await init(['--find', 'qwen-large', '--yes'])
    expect(ended).toMatchObject({ code: 0, err: '' })
    expect(routes()).toMatchObject([
      { modelName: 'paid/qwen-large', apiBase: `${shop.url}/services/qwen-large/v1`, payer: 'wallet' },
    ])
    expect(readFileSync(at('tollway.yaml'), 'utf8')).toContain('pay_to')
    expect(shop.payments).toHaveLength(0)
  })

  it('lets a person choose among several, with their prices', async () => {
    const ended = await init([], ['qwen', '', '', '2'])
    expect(ended.code).toBe(0)
    expect(ended.out).toMatch(/ {2}1 {2}qwen\S* .*\n {2}2 {2}qwen/)
    expect(routes()).toHaveLength(1)
  })

  it.each([
    [
      'nothing fits',
      ['--find', 'llama', '--yes'],
      undefined,
      /No catalogue here lists "llama".*tollway catalog add/,
    ],
    [
      'the wallet cannot pay there',
      ['--find', 'qwen', '--network', 'polygon', '--yes'],
      undefined,
      /on polygon/,
    ],
    ['a number is none of them', [], ['qwen', '', '', '7'], /none of 1 to/],
    [
      'a seller is named too',
      ['--find', 'q', '--seller', 'https://s.test', '--yes'],
      undefined,
      /Give one of them/,
    ],
    [
      'there is no catalogue',
      ['--find', 'q', '--index', '/nowhere/c.db', '--yes'],
      undefined,
      /tollway catalog add/,
    ],
  ])('%s: it is refused, and the configuration stays as it was', async (_when, args, typed, why) => {
    const before = readFileSync(at('tollway.yaml'), 'utf8')
    const ended = await init(args, typed)
    expect(ended.code).toBe(2)
    expect(ended.err).toMatch(why)
    expect(readFileSync(at('tollway.yaml'), 'utf8')).toBe(before)
    expect(existsSync(at('tollway.yaml.1.bak'))).toBe(false)
  })
})
