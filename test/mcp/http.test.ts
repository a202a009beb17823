/** `tollway mcp --listen`: streamable HTTP behind the callers' keys, from the SDK's own client. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js'
import { afterEach, describe, expect, it } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import type { BuyingContext } from '../../src/app/buying/buying-context.ts'
import { agentHttpServer, type AgentHttpServer } from '../../src/app/mcp/http-server.ts'
import type { Caller, CallerOptions } from '../../middleware/caller.ts'
import { parseCallerBudget, type CallerBudget } from '../../src/core/budget/caller-budgets.ts'
import { hashKey } from '../../src/io/callers/hash-key.ts'
import { temporaryDirectory } from '../config/config-file.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import type { Routing } from '../../src/app/mcp/key-rules.ts'
import type { Route } from '../../src/core/routing/route.ts'
import { completion, type Answer } from '../kit/seller-answers.ts'
import { openBuying } from './open-buying.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

/** A server for two callers, or for others, on a ledger of its own. */
async function start(
  source?: CallerOptions['source'],
  routing: Routing = { routes: [], aliases: new Map() },
): Promise<{ readonly server: AgentHttpServer; readonly context: BuyingContext }> {
  const buying = await openBuying({
    budgets: [
      { name: 'agents', limit_usd: '0.0015', window: 'day', per: 'caller' },
      { name: 'teams', limit_usd: '0.0025', window: 'day', per: 'team' },
    ],
  })
  const { context, directory } = buying
  const settings = {
    payer: 'base',
    caller: { id: 'nobody' },
    approval: { always: false, upTo: undefined },
    directory: join(directory, 'answers'),
    allowsPrivate: true,
    index: join(directory, 'catalog.db'),
  }
  const callers = ['one', 'two'].map((id) => ({ id, keyDigest: hashKey(`${id}-key`) }))
  const server = await agentHttpServer(context, settings, {
    listen: { host: '127.0.0.1', port: 0 },
    callers: source ? { source } : { callers },
    hosts: [],
    routing,
  })
  ends.push(async () => {
    await server.close()
    await buying.close()
  })
  return { server, context }
}

function limitOf(text: string): CallerBudget {
  const limit = parseCallerBudget(text)
  if (!limit) throw new Error(text)
  return limit
}

async function connect(
  url: string,
  key: string,
): Promise<{ client: Client; transport: StreamableHTTPClientTransport }> {
  const client = new Client({ name: 'test', version: '1' })
  const headers = { authorization: `Bearer ${key}` }
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } })
  await client.connect(transport)
  ends.push(() => client.close())
  return { client, transport }
}

describe('tollway mcp --listen', () => {
  it('pays for each caller under the budget of that caller', async () => {
    const { server, context } = await start()
    const seller = await startScriptedSeller()
    ends.push(() => seller.close())
    const call = async (client: Client): Promise<CallToolResult> =>
      (await client.callTool({
        name: 'agent_pay',
        arguments: { url: `${seller.url}/report`, max_usdc: '0.01' },
      })) as CallToolResult
    const [one, two] = [await connect(server.url, 'one-key'), await connect(server.url, 'two-key')]
    expect((await one.client.listTools()).tools.map(({ name }) => name)).toContain('find_services')
    expect((await call(one.client)).structuredContent).toMatchObject({ ok: true, spent: 'yes' })
    expect((await call(one.client)).structuredContent).toMatchObject({
      error: { code: 'burner_cap_exceeded' },
    })
    expect((await call(two.client)).structuredContent).toMatchObject({ ok: true, spent: 'yes' })
    const charges = await context.ledger.store.charges()
    expect(charges.map(({ caller }) => caller).toSorted()).toEqual(['one', 'two'])
    expect(seller.payments).toHaveLength(2)
  })

  it('lets a key with a list of models buy those at the sellers of their routes, and nothing else', async () => {
    const seller = await startScriptedSeller()
    const other = await startScriptedSeller()
    ends.push(
      () => seller.close(),
      () => other.close(),
    )
    const route = (modelName: string, model: string | undefined, more: Partial<Route> = {}): Route => ({
      modelName,
      model,
      apiBase: seller.apiBase,
      payer: 'base',
      apiKey: undefined,
      order: 0,
      ...more,
    })
    const routes = [
      route('paid/*', 'vendor/*'),
      route('dear', 'opus'),
      route('local', 'llama', { payer: undefined }),
      route('plain', undefined),
    ]
    let models: readonly string[] = []
    const key = { id: 'one', keyDigest: hashKey('one-key') }
    const routing = { routes, aliases: new Map([['fast', 'paid/small']]) }
    const { server } = await start({ callers: () => [{ ...key, models }] }, routing)
    const { client } = await connect(server.url, 'one-key')
    const codeOf = async (url: string, body?: object): Promise<unknown> => {
      const given = { url, max_usdc: '0.01', ...(body ? { method: 'POST', body } : {}) }
      const { structuredContent } = (await client.callTool({
        name: 'agent_pay',
        arguments: given,
      })) as CallToolResult
      const { error } = structuredContent as { error?: { code: string } }
      return error?.code
    }
    const chat = `${seller.apiBase}/chat/completions`
    const refused = 'model_not_allowed'
    // A POST asks a person, and here is none: whoever gets that far was let in.
    const letIn = 'approval_required'
    const cases: [readonly string[], string, object | undefined, string][] = [
      [['paid/*'], chat, { model: 'vendor/a' }, letIn],
      [['fast'], chat, { model: 'vendor/small' }, letIn],
      [['fast'], chat, { model: 'vendor/big' }, refused],
      [['plain'], chat, { model: 'plain' }, letIn],
      [['paid/*'], chat, { model: 'opus' }, refused],
      [['dear'], chat, { model: 'opus' }, letIn],
      [['local'], chat, { model: 'llama' }, refused],
      [['paid/*'], `${other.apiBase}/chat/completions`, { model: 'vendor/a' }, refused],
      [['paid/*'], `${seller.url}/v1x/chat`, { model: 'vendor/a' }, refused],
      [['paid/*'], chat, { messages: [] }, refused],
      [['paid/*'], chat, { model: ['vendor/a'] }, refused],
      [['paid/*'], `${seller.apiBase}/report`, undefined, refused],
      [[], chat, { model: 'opus' }, refused],
      [['*'], `${other.url}/anything`, { q: 1 }, letIn],
    ]
    for (const [list, url, body, expected] of cases) {
      models = list
      expect([list, url, body, await codeOf(url, body)]).toEqual([list, url, body, expected])
    }
    expect([...seller.requests, ...other.requests]).toEqual([])
  })

  it('holds the rates of a key: calls and tokens a minute, and calls at once', async () => {
    let limits: Caller['limits']
    let wait = async (): Promise<void> => undefined
    const seller = await startScriptedSeller({
      paid: async (): Promise<Answer> => {
        await wait()
        return completion({ usage: { prompt_tokens: 60, completion_tokens: 40, total_tokens: 100 } })
      },
    })
    ends.push(() => seller.close())
    let id = 'none'
    const { server } = await start({
      callers: () => [{ id, team: id, keyDigest: hashKey('one-key'), limits }],
    })
    const { client } = await connect(server.url, 'one-key')
    const pay = async (from = client): Promise<unknown> => {
      const given = { url: `${seller.url}/report`, max_usdc: '0.01' }
      const { structuredContent } = (await from.callTool({
        name: 'agent_pay',
        arguments: given,
      })) as CallToolResult
      const { error } = structuredContent as { error?: { code: string } }
      return error?.code ?? 'paid'
    }
    limits = { requestsPerMinute: 1 }
    expect([await pay(), await pay()]).toEqual(['paid', 'rate_limit_exceeded'])
    id = 'two'
    limits = { tokensPerMinute: 50 }
    const second = (await connect(server.url, 'one-key')).client
    expect([await pay(second), await pay(second)]).toEqual(['paid', 'rate_limit_exceeded'])
    id = 'three'
    limits = { parallel: 1 }
    const third = (await connect(server.url, 'one-key')).client
    const [arrived, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    wait = () => {
      arrived.resolve()
      return gate.promise
    }
    const first = pay(third)
    expect(await Promise.race([arrived.promise, first])).toBeUndefined()
    expect(await pay(third)).toBe('rate_limit_exceeded')
    gate.resolve()
    expect(await first).toBe('paid')
    // Its place is free again, and now only its budget is not.
    expect(await pay(third)).toBe('burner_cap_exceeded')
    expect(seller.payments).toHaveLength(3)
  })

  it('rule 2: holds the limits of a key and of its team, as they are at each call', async () => {
    const keys: Caller[] = ['one', 'two', 'three'].map((id) => ({
      id,
      keyDigest: hashKey(`${id}-key`),
      team: 'blue',
    }))
    let entries: readonly Caller[] = keys
    const { server, context } = await start({ callers: () => entries })
    const seller = await startScriptedSeller()
    ends.push(() => seller.close())
    const pay = async (client: Client): Promise<unknown> =>
      (
        await client.callTool({
          name: 'agent_pay',
          arguments: { url: `${seller.url}/report`, max_usdc: '0.01' },
        })
      ).structuredContent
    const [one, two, three] = [
      await connect(server.url, 'one-key'),
      await connect(server.url, 'two-key'),
      await connect(server.url, 'three-key'),
    ]
    const limit = { ...limitOf('0.0005/day') }
    entries = keys.map((key) => (key.id === 'one' ? { ...key, budgets: [limit] } : key))
    expect(await pay(one.client)).toMatchObject({
      error: { message: expect.stringContaining('callers.day') },
    })
    entries = keys
    expect(await pay(one.client)).toMatchObject({ ok: true, spent: 'yes' })
    expect(await pay(two.client)).toMatchObject({ ok: true, spent: 'yes' })
    expect(await pay(three.client)).toMatchObject({ error: { message: expect.stringContaining('teams') } })
    expect(seller.payments).toHaveLength(2)
    expect(await context.ledger.store.charges()).toHaveLength(2)
    // What another caller spent is not told; the team is its own.
    const status = await two.client.callTool({ name: 'spend_status' })
    expect(status.structuredContent).toMatchObject({
      budgets: [
        { budget: 'agents', subject: 'two' },
        { budget: 'teams', subject: 'blue', spent_usd: '0.002' },
      ],
    })
  })

  it('ends sessions of the caller that opens too many, and of nobody else', async () => {
    const { server } = await start()
    const [two] = [await connect(server.url, 'two-key')]
    for (let n = 0; n < 51; n++) await connect(server.url, 'one-key')
    expect((await two.client.listTools()).tools).not.toEqual([])
  })

  it.each([
    ['no key', {}, 401],
    ['a wrong key', { authorization: 'Bearer other' }, 401],
    ['a page of another origin', { authorization: 'Bearer one-key', origin: 'https://evil.example' }, 403],
  ])('answers %s with %j -> %d and opens no session', async (_case, headers, status) => {
    const { server } = await start()
    const answer = await fetch(server.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...headers,
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
    })
    expect([answer.status, answer.headers.get('mcp-session-id')]).toEqual([status, null])
  })

  it('gives no caller the session of another', async () => {
    const { server } = await start()
    const { transport } = await connect(server.url, 'one-key')
    const ask = async (key: string): Promise<number> => {
      const answer = await fetch(server.url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          authorization: `Bearer ${key}`,
          'mcp-session-id': transport.sessionId ?? '',
        },
        body: JSON.stringify({ jsonrpc: '2.0', id: 9, method: 'tools/list' }),
      })
      await answer.text()
      return answer.status
    }
    expect([await ask('two-key'), await ask('one-key')]).toEqual([404, 200])
  })

  it('serves from the command line until it is stopped', async () => {
    const file = join(temporaryDirectory(), 'tollway.yaml')
    writeFileSync(file, 'callers: [{ id: one, key: "${env:ONE}", models: ["*"] }]\n')
    const serving = Promise.withResolvers<string>()
    const terminal = new (class extends FakeTerminal {
      override stderr(text: string): void {
        super.stderr(text)
        const url = /serving at (\S+)/.exec(text)?.[1]
        if (url !== undefined) serving.resolve(url)
      }
    })({ ONE: 'one-key' })
    const ended = run(['mcp', '--listen', '127.0.0.1:0', '--config', file], terminal)
    const { client } = await connect(await serving.promise, 'one-key')
    expect((await client.callTool({ name: 'wallet_balance' })).structuredContent).toEqual({ balances: [] })
    terminal.signal()
    expect(await ended).toBe(0)
  })

  it.each([
    ['without the keys of callers', ['--listen', '127.0.0.1:0'], /needs the keys of callers/],
    ['together with --proxy', ['--listen', '127.0.0.1:0', '--proxy', 'x'], /exclude each other/],
    ['at an address that is none', ['--listen', 'here'], /must be a host and a port/],
  ])('is refused %s', async (_case, args, message) => {
    const file = join(temporaryDirectory(), 'tollway.yaml')
    writeFileSync(file, '{}')
    const terminal = new FakeTerminal()
    expect(await run(['mcp', ...args, '--config', file], terminal)).toBe(2)
    expect(terminal.err).toMatch(message)
  })
})
