/**
 * `tollway mcp --proxy`: tools of another MCP server that ask for a payment, as x402's MCP transport says it. The other server is a
 * stand-in on the SDK's own server: nothing verifies its payments on a chain.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { ElicitRequestSchema, type CallToolResult } from '@modelcontextprotocol/sdk/types.js'
import { verifyTypedData } from 'viem'
import { TRANSFER_WITH_AUTHORIZATION } from '../../src/core/payer/typed-message.ts'
import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { BuyingContext } from '../../src/app/buying/buying-context.ts'
import { proxyServer, type ProxySettings } from '../../src/app/mcp/proxy-tools.ts'
import { connectRemote } from '../../src/app/mcp/connect-remote.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { temporaryDirectory } from '../config/config-file.ts'
import { MAIN } from '../kit/program.ts'
import { OFFER, RECEIPT } from '../kit/seller-answers.ts'
import { openBuying } from './open-buying.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

type Meta = Readonly<Record<string, unknown>> | undefined
/** What the other server's tool `search` answers to each call. */
type Tool = (payment: unknown, count: number) => CallToolResult

const required = (change: object = {}, asText = false): CallToolResult => {
  const terms = {
    x402Version: 2,
    error: 'Payment required',
    resource: { url: 'mcp://tool/search' },
    accepts: [{ ...OFFER, ...change }],
  }
  return {
    isError: true,
    ...(asText ? {} : { structuredContent: terms }),
    content: [{ type: 'text', text: JSON.stringify(terms) }],
  }
}
const found = (meta: object = { 'x402/payment-response': RECEIPT }): CallToolResult => ({
  content: [{ type: 'text', text: 'found' }],
  structuredContent: { hits: 1 },
  _meta: { ...meta },
})
const paidFor: Tool = (payment) => (payment === undefined ? required() : found())

interface World {
  readonly context: BuyingContext
  /** The payments that came with each call of the tool. */
  readonly payments: unknown[]
  readonly asked: string[]
  call(args?: Record<string, unknown>, meta?: Record<string, unknown>): Promise<CallToolResult>
  list(): Promise<string[]>
}

async function start(
  tool: Tool,
  options: {
    readonly settings?: Partial<ProxySettings>
    readonly config?: object
    readonly person?: boolean
  } = {},
): Promise<World> {
  const payments: unknown[] = []
  const other = new McpServer({ name: 'other', version: '1' })
  other.registerTool(
    'search',
    { inputSchema: { q: z.string() }, outputSchema: { hits: z.number() } },
    (_given, { _meta }: { _meta?: Meta }) => {
      const payment = _meta?.['x402/payment']
      payments.push(payment)
      return tool(payment, payments.length)
    },
  )
  other.registerTool('free', {}, () => ({ content: [{ type: 'text', text: 'free' }] }))
  const remote = new Client({ name: 'proxy', version: '1' })
  const [a, b] = InMemoryTransport.createLinkedPair()
  await Promise.all([other.connect(a), remote.connect(b)])

  const buying = await openBuying(options.config)
  const { context } = buying
  const server = await proxyServer(context, remote, {
    payer: 'base',
    caller: { id: 'agent' },
    approval: { always: true, upTo: undefined },
    place: new URL('https://tools.seller.example/mcp'),
    maxMicro: 10_000n,
    ...options.settings,
  })
  const { person } = options
  const asked: string[] = []
  const agent = new Client(
    { name: 'agent', version: '1' },
    { capabilities: person === undefined ? {} : { elicitation: {} } },
  )
  if (person !== undefined)
    agent.setRequestHandler(ElicitRequestSchema, ({ params }) => {
      asked.push(params.message)
      return person ? { action: 'accept', content: { approve: true } } : { action: 'decline' }
    })
  const [c, d] = InMemoryTransport.createLinkedPair()
  await Promise.all([server.connect(c), agent.connect(d)])
  ends.push(async () => {
    await agent.close()
    await remote.close()
    await buying.close()
  })
  return {
    context,
    payments,
    asked,
    list: async () => (await agent.listTools()).tools.map(({ name }) => name),
    call: async (args = { q: 'x' }, meta = {}) =>
      (await agent.callTool({ name: 'search', arguments: args, _meta: meta })) as CallToolResult,
  }
}

const codeOf = ({ structuredContent: told }: CallToolResult): unknown =>
  (told as { error?: { code?: string } } | undefined)?.error?.code

describe('a tool that asks for a payment', () => {
  it('is paid and called once more, and the result, the ledger and the signature agree', async () => {
    const world = await start(paidFor)
    expect(await world.list()).toEqual(['search', 'free'])
    const result = await world.call()
    expect(result).toMatchObject({
      content: [{ type: 'text', text: 'found' }],
      structuredContent: { hits: 1 },
      _meta: { 'x402/payment-response': RECEIPT, 'tollway/payment': { spent: 'yes', usd: '0.001' } },
    })
    expect(world.payments).toHaveLength(2)
    const [charge] = await world.context.ledger.store.charges()
    expect(charge).toMatchObject({
      state: 'settled',
      amount: 1000n,
      caller: 'agent',
      seller: 'https://tools.seller.example',
    })
    const payment = world.payments[1] as {
      accepted: object
      payload: { authorization: Record<string, string>; signature: `0x${string}` }
    }
    expect(payment.accepted).toEqual(OFFER)
    const { from, to, value, validAfter, validBefore, nonce } = payment.payload.authorization
    const types = { TransferWithAuthorization: TRANSFER_WITH_AUTHORIZATION }
    const isSigned = await verifyTypedData({
      address: localAccounts().buyer.address,
      domain: {
        name: 'USDC',
        version: '2',
        chainId: 84_532,
        verifyingContract: OFFER.asset as `0x${string}`,
      },
      types,
      primaryType: 'TransferWithAuthorization',
      message: {
        from: from as `0x${string}`,
        to: to as `0x${string}`,
        value: BigInt(value ?? 0),
        validAfter: BigInt(validAfter ?? 0),
        validBefore: BigInt(validBefore ?? 0),
        nonce: nonce as `0x${string}`,
      },
      signature: payment.payload.signature,
    })
    expect([isSigned, value]).toEqual([true, '1000'])
  })

  it('is paid too where only the text of the result names the offers', async () => {
    const world = await start((payment) => (payment === undefined ? required({}, true) : found()))
    expect(await world.call()).toMatchObject({ content: [{ text: 'found' }] })
  })

  it('rule 2: is not paid beyond a budget', async () => {
    const budgets = [{ name: 'all', limit_usd: '0.0015', window: 'day' }]
    const world = await start(paidFor, { config: { budgets } })
    await world.call()
    expect(codeOf(await world.call())).toBe('burner_cap_exceeded')
    expect(world.payments.filter((payment) => payment !== undefined)).toHaveLength(1)
  })

  it.each<[string, object, string]>([
    ['more than --max-usdc', { amount: '10001' }, 'demand_exceeds_max_usdc'],
    ['zero', { amount: '0' }, 'invalid_demand'],
    ['another token', { asset: '0x00000000000000000000000000000000000000cc' }, 'non_usdc_asset'],
    ['another network', { network: 'eip155:8453' }, 'no_acceptable_requirement'],
  ])('rule 6: is not paid %s', async (_what, change, code) => {
    const world = await start(() => required(change))
    const result = await world.call()
    expect([codeOf(result), result.isError, world.payments]).toEqual([code, true, [undefined]])
  })

  it('rule 5: that asks again after it was paid is not paid again, and the money counts as gone', async () => {
    const world = await start(() => required())
    const result = await world.call()
    expect(result.structuredContent).toMatchObject({
      ok: false,
      spent: 'unknown',
      error: { code: 'payment_rejected' },
    })
    expect(world.payments).toHaveLength(2)
    expect(await world.context.ledger.store.charges()).toMatchObject([{ state: 'uncertain' }])
  })

  it('rule 4: that fails after it was paid, without a receipt, counts as paid', async () => {
    const failed: CallToolResult = { isError: true, content: [{ type: 'text', text: 'broken' }] }
    const world = await start((payment) => (payment === undefined ? required() : failed))
    expect((await world.call()).structuredContent).toMatchObject({ ok: false, spent: 'unknown' })
    expect(await world.context.ledger.store.charges()).toMatchObject([{ state: 'uncertain' }])
  })

  it.each([
    [true, 'yes'],
    [false, 'no'],
  ])('asks the person first unless --yes is given (they agree: %s)', async (person, spent) => {
    const approval = { always: false, upTo: undefined }
    const world = await start(paidFor, { person, settings: { approval } })
    const result = await world.call()
    expect(world.asked).toEqual([
      'Pay up to 0.01 USDC for POST https://tools.seller.example/mcp/tools/search?',
    ])
    expect(world.payments).toHaveLength(spent === 'yes' ? 2 : 1)
    if (spent === 'no') expect(codeOf(result)).toBe('approval_refused')
  })

  it('takes no payment of the agent for its own, and passes none of it on twice', async () => {
    const world = await start(paidFor)
    await world.call({ q: 'x' }, { 'x402/payment': { mine: true } })
    expect(world.payments[0]).toBeUndefined()
  })
})

describe('a tool that asks for nothing', () => {
  it('gives its result as it is, failures included', async () => {
    const broken: CallToolResult = { isError: true, content: [{ type: 'text', text: 'no such thing' }] }
    const world = await start((_payment, count) => (count === 1 ? found({}) : broken))
    expect(JSON.stringify(await world.call())).not.toContain('tollway/payment')
    expect(await world.call()).toMatchObject(broken)
    expect(await world.context.ledger.store.charges()).toEqual([])
  })
})

it('starts a command as the other server, and names it by a host that can never be one', async () => {
  const { client, place } = await connectRemote(
    `${process.execPath} ${MAIN} mcp --config ${join(temporaryDirectory(), 'none.yaml')}`,
  ).catch((error: unknown) => ({ client: undefined, place: error }))
  // It refuses its configuration, so there is nobody to speak to.
  expect([client, String(place)]).toEqual([undefined, expect.stringContaining('cannot be used')])
  const file = join(temporaryDirectory(), 'tollway.yaml')
  writeFileSync(file, '{}')
  const started = await connectRemote(`${process.execPath} ${MAIN} mcp --config=${file}`)
  ends.push(() => started.client.close())
  expect(started.place.href).toBe('https://mcp.mcp.invalid/')
  expect((await started.client.listTools()).tools.map(({ name }) => name)).toContain('agent_pay')
})

it('says what is wrong with a server that cannot be reached', async () => {
  await expect(connectRemote('http://example.com/mcp')).rejects.toThrow(/plain http to another machine/)
  await expect(connectRemote(join(temporaryDirectory(), 'no-such-program'))).rejects.toThrow(
    /cannot be used .*; nothing was paid/,
  )
})
