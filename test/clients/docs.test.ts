/** What docs/clients.md says about the programs around a gateway, run as it stands there. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { parse } from 'yaml'
import { run } from '../../src/app/cli/run.ts'
import { parseConfig } from '../../src/app/config/load.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { temporaryDirectory } from '../config/config-file.ts'
import { asking } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { ask, startGateway } from '../kit/gateway.ts'
import { blocksOf } from '../kit/markdown.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/clients.md'), 'utf8')
const blocks = new Map(blocksOf(page).map(({ marker, text }) => [marker, text]))
const CONFIG = `callers: [{ id: me, key: "\${env:K}" }]
payers: { base: { kind: direct, key: "\${env:W}", networks: [base-sepolia] } }
model_list: [{ model_name: paid/qwen, model: qwen, api_base: https://seller.example.com/v1, payer: base }]
`

let home: string
beforeEach(() => {
  home = temporaryDirectory()
  writeFileSync(join(home, 'tollway.yaml'), CONFIG)
  mkdirSync(join(home, '.openclaw'))
})

/** Runs the lines of a block one after the other, in a home of their own. */
async function lines(marker: string): Promise<{ code: number; out: string }[]> {
  const commands = (blocks.get(marker) ?? '').trim().split('\n')
  const ended: { code: number; out: string }[] = []
  for (const command of commands) {
    const terminal = new FakeTerminal({ K: 'k', W: `0x${'1'.repeat(64)}`, HOME: home })
    const args = [
      ...command.split(' ').slice(1),
      ...(command.endsWith('--undo') ? [] : ['--config', join(home, 'tollway.yaml')]),
    ]
    ended.push({ code: await run(args, terminal), out: terminal.out })
  }
  return ended
}

test('the page has the commands that are run here', () => {
  expect([...blocks.keys()]).toEqual(['openclaw', 'entries', 'upstream'])
})

test('shows the entry for OpenClaw, puts it in over another choice, and takes it out', async () => {
  const file = join(home, '.openclaw/openclaw.json')
  const theirs = '{\n  "agents": { "defaults": { "model": { "primary": "mine/m" } } }\n}\n'
  writeFileSync(file, theirs)
  const [shown, written, undone] = await lines('openclaw')
  expect([shown?.code, written?.code, undone?.code]).toEqual([0, 0, 0])
  expect(shown?.out).toContain('"baseUrl": "http://127.0.0.1:8402/v1"')
  expect(readFileSync(file, 'utf8')).toBe(theirs)
})

test('the entries for LiteLLM name the paid models and this gateway', async () => {
  const [{ out } = { out: '' }] = await lines('entries')
  expect(parse(out)).toMatchObject({
    model_list: [
      {
        model_name: 'paid/qwen',
        litellm_params: { model: 'openai/paid/qwen', api_base: 'http://127.0.0.1:8402/v1' },
      },
    ],
  })
})

test('the default upstream stands in the configuration as it is shown', () => {
  const config = parseConfig(parse(blocks.get('upstream') ?? ''), { LITELLM_KEY: 'k' })
  expect(config.upstream).toMatchObject({ apiBase: 'http://127.0.0.1:4000/v1', apiKey: 'k' })
})

// LiteLLM itself reads them in test/litellm.
test('a paid answer, whole or streamed, carries the cost where LiteLLM reads it, before its body', async () => {
  const seller = await startScriptedSeller({ unpaid: asking(1500n) })
  process.env['LITELLM_WALLET'] = `0x${'1'.repeat(64)}`
  const gateway = await startGateway({
    payers: { base: { kind: 'direct', key: '${env:LITELLM_WALLET}', networks: ['base-sepolia'] } },
    model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' }],
  })
  try {
    for (const stream of [false, true]) {
      const answer = await ask(gateway.url, { model: 'paid/x', stream }, { authorization: 'Bearer unused' })
      expect(answer.status).toBe(200)
      expect(Number(answer.headers.get('x-litellm-response-cost'))).toBe(0.0015)
      await answer.body?.cancel()
    }
  } finally {
    await gateway.close()
    await seller.close()
  }
})
