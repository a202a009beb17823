/**
 * `tollway mcp --proxy <url>`: a server over streamable HTTP whose tool asks for a payment in either binding of x402's MCP transport.
 * The server is the official SDK's; it checks no payment on a chain.
 */
import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js'
import { afterEach, describe, expect, it } from 'vitest'
import type { BuyingContext } from '../../src/app/buying/buying-context.ts'
import { connectRemote } from '../../src/app/mcp/connect-remote.ts'
import { proxyServer } from '../../src/app/mcp/proxy-tools.ts'
import { remoteFetch } from '../../src/app/mcp/remote-fetch.ts'
import { serveOnLoopback } from '../../src/io/transport/loopback.ts'
import { OFFER, RECEIPT } from '../kit/seller-answers.ts'
import { openBuying } from './open-buying.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

const EXTENSION = 'org.x402/payment'
type Meta = Readonly<Record<string, unknown>>
type Tool = (meta: Meta, count: number) => CallToolResult

const TERMS = {
  x402Version: 2,
  error: 'Payment required',
  resource: { url: 'mcp://tools/search' },
  accepts: [OFFER],
}
const asks = (change: object = {}): CallToolResult => ({
  content: [],
  resultType: 'payment_required',
  paymentRequired: { ...TERMS, ...change },
})
const asksByError: CallToolResult = { isError: true, structuredContent: TERMS, content: [] }
const done = (meta: object = { [EXTENSION]: { settlementResponse: RECEIPT } }): CallToolResult => ({
  resultType: 'complete',
  content: [{ type: 'text', text: 'found' }],
  _meta: { ...meta },
})
const payloadOf = (meta: Meta): unknown =>
  (meta[EXTENSION] as { paymentPayload?: unknown } | undefined)?.paymentPayload
const sells: Tool = (meta) => (payloadOf(meta) === undefined ? asks() : done())

interface World {
  readonly context: BuyingContext
  /** The `_meta` of each call that reached the other server. */
  readonly calls: Meta[]
  readonly other: McpServer
  call(meta?: Record<string, unknown>): Promise<CallToolResult>
}

/** @param instead answers an HTTP request in place of the other server; true when it did */
async function start(
  tool: Tool,
  instead: (body: string, response: ServerResponse) => boolean = () => false,
): Promise<World> {
  const calls: Meta[] = []
  const other = new McpServer({ name: 'other', version: '1' })
  other.registerTool('search', {}, ({ _meta = {} }: { _meta?: Meta }) => {
    calls.push(_meta)
    return tool(_meta, calls.length)
  })
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: randomUUID })
  await other.connect(transport)
  const listening = await serveOnLoopback((request, response) => {
    const answer = async (): Promise<void> => {
      const body = await text(request)
      if (instead(body, response)) return
      await transport.handleRequest(request, response, body === '' ? undefined : JSON.parse(body))
    }
    void answer()
  })
  const { client: remote, place } = await connectRemote(`${listening.url}/mcp`)
  const buying = await openBuying()
  const { context } = buying
  const server = await proxyServer(context, remote, {
    payer: 'base',
    caller: { id: 'agent' },
    approval: { always: true, upTo: undefined },
    place,
    maxMicro: 10_000n,
  })
  const agent = new Client({ name: 'agent', version: '1' })
  const [a, b] = InMemoryTransport.createLinkedPair()
  await Promise.all([server.connect(a), agent.connect(b)])
  ends.push(async () => {
    await agent.close()
    await remote.close()
    await other.close()
    await listening.close()
    await buying.close()
  })
  return {
    context,
    calls,
    other,
    call: async (meta = {}) =>
      (await agent.callTool({ name: 'search', arguments: {}, _meta: meta })) as CallToolResult,
  }
}

describe('a tool that asks by the extension org.x402/payment', () => {
  it('is told that the client can pay, is paid there and called once more', async () => {
    const world = await start(sells)
    const result = await world.call()
    expect(result).toMatchObject({
      content: [{ text: 'found' }],
      _meta: { 'tollway/payment': { spent: 'yes', usd: '0.001', transaction: RECEIPT.transaction } },
    })
    const capability = { 'io.modelcontextprotocol/clientCapabilities': { extensions: { [EXTENSION]: {} } } }
    expect(world.calls).toMatchObject([capability, capability])
    expect(world.other.server.getClientCapabilities()).toMatchObject({ extensions: { [EXTENSION]: {} } })
    expect(payloadOf(world.calls[1] ?? {})).toMatchObject({ x402Version: 2, accepted: OFFER })
    expect(world.calls[1]).not.toHaveProperty(['x402/payment'])
    expect(await world.context.ledger.store.charges()).toMatchObject([
      { state: 'settled', proof: 'receipt', amount: 1000n, caller: 'agent' },
    ])
  })

  it('rule 5: that asks again after it was paid is not paid again, and the money counts as gone', async () => {
    const world = await start(() => asks())
    expect((await world.call()).structuredContent).toMatchObject({ ok: false, spent: 'unknown' })
    expect(world.calls).toHaveLength(2)
    expect(await world.context.ledger.store.charges()).toMatchObject([{ state: 'uncertain' }])
  })

  it('rule 4: that asks again with a receipt of success counts as paid for certain', async () => {
    const again = { ...asks(), _meta: { [EXTENSION]: { settlementResponse: RECEIPT } } }
    const world = await start((_meta, count) => (count === 1 ? asks() : again))
    expect((await world.call()).structuredContent).toMatchObject({ ok: false, spent: 'yes' })
    expect(await world.context.ledger.store.charges()).toMatchObject([{ state: 'settled' }])
  })

  it.each<[string, CallToolResult]>([
    ['offers of x402 v1', asks({ x402Version: 1 })],
    ['no offers', asks({ accepts: [] })],
    ['nothing at all', { content: [], resultType: 'payment_required' }],
  ])('rule 6: is paid nothing for %s', async (_what, result) => {
    const world = await start(() => result)
    expect((await world.call()).structuredContent).toMatchObject({ ok: false })
    expect(world.calls.map(payloadOf)).toEqual([undefined])
    expect(await world.context.ledger.store.charges()).toEqual([])
  })

  it('gets no payment of the agent, and the capabilities that the agent has', async () => {
    const world = await start(sells)
    const other = { 'io.modelcontextprotocol/clientCapabilities': { extensions: { 'com.example/x': {} } } }
    await world.call({ ...other, [EXTENSION]: { paymentPayload: { mine: true } } })
    expect(payloadOf(world.calls[0] ?? {})).toBeUndefined()
    expect(world.calls[0]).toMatchObject(other)
  })
})

it('pays a tool over HTTP that asks by an error result in that binding', async () => {
  const world = await start((meta) =>
    meta['x402/payment'] === undefined ? asksByError : done({ 'x402/payment-response': RECEIPT }),
  )
  expect(await world.call()).toMatchObject({ _meta: { 'tollway/payment': { spent: 'yes' } } })
  expect(world.calls[1]).toHaveProperty(['x402/payment', 'accepted'], OFFER)
  expect(world.calls[1]).not.toHaveProperty([EXTENSION])
})

describe('a server that does its worst with what it is sent', () => {
  it.each(['to another server', 'to another path of its own'])(
    'rule 5: redirects a payment %s, which gets nothing',
    async (where) => {
      const stolen: string[] = []
      const thief = await serveOnLoopback((request, response) => {
        stolen.push(request.url ?? '')
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
      })
      ends.push(() => thief.close())
      const paths: (string | undefined)[] = []
      const world = await start(sells, (body, response) => {
        paths.push(response.req.url)
        if (!body.includes('paymentPayload')) return false
        const place = where === 'to another server' ? thief.url : '/other'
        response.writeHead(307, { location: place }).end()
        return true
      })
      expect((await world.call()).structuredContent).toMatchObject({ ok: false, spent: 'unknown' })
      expect([stolen, paths.filter((path) => path !== '/mcp')]).toEqual([[], []])
      expect(await world.context.ledger.store.charges()).toMatchObject([{ state: 'uncertain' }])
    },
  )

  it('redirects the question: nothing is paid, and nobody else is asked', async () => {
    const asked: (string | undefined)[] = []
    const other = await serveOnLoopback((request, response) => {
      asked.push(request.url)
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    })
    ends.push(() => other.close())
    const world = await start(sells, (body, response) => {
      if (!body.includes('tools/call')) return false
      response.writeHead(308, { location: `${other.url}/admin/reload` }).end()
      return true
    })
    expect((await world.call()).structuredContent).toMatchObject({ ok: false, spent: 'no' })
    expect(asked).toEqual([])
    expect(await world.context.ledger.store.charges()).toEqual([])
  })
})

describe('an answer of another server', () => {
  const answering = (chunks: readonly string[], type: string) => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const chunk of chunks) controller.enqueue(Buffer.from(chunk))
        controller.close()
      },
    })
    return remoteFetch(async () => new Response(body, { headers: { 'content-type': type } }), 10)
  }
  const read = async (chunks: readonly string[], type: string): Promise<string> =>
    await (await answering(chunks, type)('https://mcp.example.com')).text()

  it.each([
    ['application/json', ['12345', '678901']],
    ['text/event-stream', ['data: 12345\n']],
    ['text/event-stream', ['data: 1\n', 'data: 2\n']],
    ['text/event-stream', ['data: 1\r\n', 'data: 2\r\n']],
    ['text/event-stream', ['data: 1\r', '\ndata: 2']],
  ])('in %s is cut where it becomes too long: %j', async (type, chunks) => {
    await expect(read(chunks, type)).rejects.toThrow('longer than 10 bytes')
  })

  it.each([
    ['application/json', ['12345', '67890']],
    ['text/event-stream', ['data: 1\n\n', 'data: 2\n\n', 'data: 3\n\n']],
    ['text/event-stream', ['data: 1\r\n\r', '\ndata: 2\r\n\r\n']],
    ['text/event-stream', ['data: 1\r\r', 'data: 2\r\r']],
  ])('in %s passes unchanged within the bound: %j', async (type, chunks) => {
    expect(await read(chunks, type)).toBe(chunks.join(''))
  })
})
