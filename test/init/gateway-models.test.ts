/** The models that `tollway init openclaw` lists, and those that it refuses as the default. */
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { parseConfig } from '../../src/app/config/load.ts'
import { assertServed, gatewayModels, type GatewayModels } from '../../src/app/init/gateway-models.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { configFile, temporaryDirectory } from '../config/config-file.ts'
import { buyerFiles, upstreamFile } from '../kit/obol-pool.ts'
import { json } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'

const PAYERS = { base: { kind: 'direct', key: '${env:W}', networks: ['base-sepolia'] } }
const route = (name: string, model?: string, more: object = {}): object => ({
  model_name: name,
  ...(model === undefined ? {} : { model }),
  api_base: 'https://seller.example.com/v1',
  payer: 'base',
  ...more,
})
const config = (models: readonly object[], more: object = {}) =>
  parseConfig(
    { payers: PAYERS, model_list: models, store: 'memory', ...more },
    { W: 'x', K: 'key-of-the-route-1' },
  )

const ids = (...list: string[]) => ({
  status: 200,
  body: JSON.stringify({ object: 'list', data: list.map((id) => ({ id })) }),
})

describe('the models of a gateway', () => {
  it('are those with a name, and those that sellers list behind a pattern, under the names of clients', async () => {
    const asked: string[] = []
    const { names, unlisted } = await gatewayModels(
      config([route('paid/qwen'), route('paid/*', '*'), route('oa-*', 'openai/*')]),
      true,
      0,
      (url) => {
        asked.push(url)
        return Promise.resolve(ids('qwen', 'openai/gpt-5', 'a*b'))
      },
    )
    expect(names).toEqual(['paid/qwen', 'paid/openai/gpt-5', 'oa-gpt-5'])
    expect(unlisted).toEqual([])
    expect(asked).toEqual(Array(2).fill('https://seller.example.com/v1/models'))
  })

  it.each([
    ['is down', { failure: 'no connection' }],
    ['wants to be paid for it', { status: 402, body: '{}' }],
    ['answers something else', { status: 200, body: '<html>' }],
    ['lists nothing', ids()],
  ])('of a seller that %s stay unknown, and that is told', async (_what, got) => {
    const found = await gatewayModels(config([route('paid/*', '*')]), true, 0, () => Promise.resolve(got))
    expect(found).toEqual({ names: [], unlisted: ['paid/*'] })
  })

  it('are not asked for offline, nor where a key would be needed', async () => {
    const never = (): never => {
      throw new Error('asked')
    }
    const found = await gatewayModels(config([route('paid/*', '*')]), false, 0, never)
    expect(found.unlisted).toEqual(['paid/*'])
    const keyed = { model_name: 'gpt-*', api_base: 'https://api.openai.com/v1', api_key: '${env:K}' }
    expect((await gatewayModels(config([keyed]), true, 0, never)).unlisted).toEqual(['gpt-*'])
  })

  it("are also those of x402-buyer's files", async () => {
    const files = buyerFiles()
    try {
      files.write(
        'remote-qwen',
        upstreamFile({ url: 'https://s.example.com', payTo: `0x${'1'.repeat(40)}`, model: 'qwen' }),
        [],
      )
      const found = await gatewayModels(
        parseConfig({ payers: { obol: files.payer }, store: 'memory' }, {}),
        true,
        Date.now(),
      )
      expect(found).toEqual({ names: ['paid/qwen'], unlisted: [] })
    } finally {
      files.remove()
    }
  })
})

describe('a default model', () => {
  const known: GatewayModels = { names: ['paid/qwen', 'paid/gpt-5'], unlisted: [] }
  const routes = [route('paid/*', '*')]

  it.each([
    ['is listed', 'paid/qwen', known, {}],
    ['matches a pattern without a list', 'paid/new', { names: [], unlisted: ['paid/*'] }, {}],
    ['is an alias of one', 'fast', known, { router: { aliases: { fast: 'paid/qwen' } } }],
    ['the default upstream may know', 'anything', known, { upstream: { api_base: 'http://127.0.0.1:1/v1' } }],
  ])('that %s is taken', (_what, model, models, more) => {
    expect(() => assertServed(model, config(routes, more), models)).not.toThrow()
  })

  it.each([
    ['no route matches', 'gpt-5', known, 'The gateway offers paid/qwen, paid/gpt-5.'],
    ['the seller does not list', 'paid/gpt-6', known, 'Did you mean "paid/gpt-5"?'],
    ['is a pattern', 'paid/*', { names: [], unlisted: ['paid/*'] }, 'nothing was written'],
    ['is like none', 'zzz', known, 'The gateway offers paid/qwen, paid/gpt-5.'],
  ])('that %s is refused', (_what, model, models, said) => {
    expect(() => assertServed(model, config(routes), models)).toThrow(said)
  })
})

describe('tollway init openclaw', () => {
  let directory: string
  beforeEach(() => {
    directory = temporaryDirectory()
  })

  it('lists what the seller behind a pattern sells, and refuses a default model that it does not', async () => {
    const seller = await startScriptedSeller(({ url }) =>
      url.endsWith('/models') ? json({ data: [{ id: 'qwen3' }] }) : json({}, {}, 404),
    )
    try {
      const path = configFile(
        JSON.stringify({ payers: PAYERS, model_list: [route('paid/*', '*', { api_base: seller.apiBase })] }),
        directory,
      )
      const openclaw = async (...args: string[]): Promise<[number, string]> => {
        const terminal = new FakeTerminal({ W: 'x' })
        const file = join(directory, 'openclaw.json')
        const code = await run(['init', 'openclaw', '--config', path, '--file', file, ...args], terminal)
        return [code, terminal.out + terminal.err]
      }
      expect((await openclaw())[1]).toContain('"id": "paid/qwen3"')
      expect(await openclaw('--write', '--primary', 'paid/qwen4')).toEqual([
        2,
        'No route of the gateway serves "paid/qwen4"; nothing was written. Did you mean "paid/qwen3"?\n',
      ])
      expect((await openclaw('--write', '--primary', 'paid/qwen3'))[0]).toBe(0)
      expect(seller.payments).toEqual([])
    } finally {
      await seller.close()
    }
  })
})
