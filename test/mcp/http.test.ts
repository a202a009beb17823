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
import { openBuying } from './open-buying.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

/** A server for two callers, or for others, on a ledger of its own. */
async function start(
  source?: CallerOptions['source'],
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
