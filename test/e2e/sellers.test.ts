/** What is remembered of sellers: whom they are paid at, and how much. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cash } from '../../providers/cash.ts'
import { parse } from 'yaml'
import { run } from '../../src/app/cli/run.ts'
import { parseConfig } from '../../src/app/config/load.ts'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { challengeV2, json, receiptV2 } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { type ScriptedSeller } from '../kit/scripted-seller.ts'
import { blocksOf } from '../kit/markdown.ts'
import { offerV2 } from '../kit/quotes.ts'

const OTHER_PAYEE = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'

let seller: ScriptedSeller
let tollway: TestGateway
let offer: object
let paidStatus: number

beforeEach(async () => {
  offer = offerV2
  paidStatus = 200
  seller = await startScriptedSeller({
    unpaid: () => challengeV2([offer]),
    paid: () =>
      json(
        { choices: [{ message: { role: 'assistant', content: 'hi' } }] },
        paidStatus === 200 ? receiptV2({ success: true }) : {},
        paidStatus,
      ),
  })
})

afterEach(async () => {
  await tollway?.close()
  await seller.close()
})

async function start(policy: object): Promise<void> {
  process.env['SELLERS_WALLET'] = `0x${'11'.repeat(32)}`
  const config = {
    payers: { base: { kind: 'direct', key: '${env:SELLERS_WALLET}', networks: ['base-sepolia'] } },
    model_list: [
      { model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' },
      { model_name: 'spare', api_base: `${seller.url}/spare` },
    ],
    router: { fallbacks: [{ 'paid/*': ['spare'] }] },
    budgets: [{ name: 'all', limit_usd: '1.00', window: 'lifetime' }],
    policy,
  }
  tollway = await startGateway(config, { payers: new Map([['base', cash()]]) })
  const { store, audit } = tollway.gateway.parts.config
  const files = { store, audit: { path: audit.path } }
  await writeFile(join(tollway.directory, 'tollway.yaml'), JSON.stringify({ ...config, ...files }))
}

/** Asks for a price; returns what came of it. */
let asked = 0
async function at(amount: string, model = 'm'): Promise<string> {
  offer = { ...offer, amount }
  const response = await ask(tollway.url, { model: `paid/${model}`, seed: (asked += 1) })
  return response.ok ? 'paid' : (await errorOf(response)).code
}

async function tollwaySellers(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const terminal = new FakeTerminal({ SELLERS_WALLET: `0x${'11'.repeat(32)}` })
  const config = ['--config', join(tollway.directory, 'tollway.yaml')]
  const code = await run(['sellers', ...args, ...config], terminal)
  return { code, out: terminal.out, err: terminal.err }
}

const drift = (direction: string): Promise<number> =>
  tollway.metric('tollway_quote_drift_total', { direction })

describe('max_price_change', () => {
  test('refuses a price above the pinned one and the ratio, names both and the fix, and signs nothing', async () => {
    await start({ max_price_change: '0.20' })
    expect(await at('1000')).toBe('paid')
    offer = { ...offerV2, amount: '1201' }
    const before = seller.requests.length
    const response = await ask(tollway.url, { model: 'paid/m', seed: 'x' })
    expect([response.status, response.headers.get('x-tollway-spent')]).toEqual([400, 'no'])
    const error = await errorOf(response)
    expect(error.code).toBe('price_unstable')
    expect(error.message).toBe(
      'The seller asks 0.001201 USDC, but its pinned price is 0.001 USDC and at most 0.0012 USDC is allowed. This offer was not paid. ' +
        `If the new price is right, run \`tollway sellers trust ${seller.apiBase} --path /chat/completions --model m --price 0.001201\`, or raise policy.max_price_change.`,
    )
    // One probe, and no fallback past a refusal by policy.
    expect(seller.requests.length - before).toBe(1)
    expect(await drift('refused')).toBe(1)
  })

  test('lets a price rise within the ratio, and no further in small steps', async () => {
    await start({ max_price_change: '0.20' })
    expect(await at('1000')).toBe('paid')
    expect(await at('1200')).toBe('paid')
    expect(await at('1201')).toBe('price_unstable')
    expect(await at('1440')).toBe('price_unstable')
    expect([await drift('up'), await drift('refused')]).toEqual([1, 2])
  })

  test('a lower price passes, and counts only once it was paid', async () => {
    await start({ max_price_change: '0.20' })
    expect(await at('1000')).toBe('paid')
    paidStatus = 500
    expect(await at('500')).toBe('seller_error')
    paidStatus = 200
    expect(await at('1200')).toBe('paid')
    expect(await at('500')).toBe('paid')
    expect(await at('601')).toBe('price_unstable')
    expect(await at('600')).toBe('paid')
  })

  test('holds a new spelling of a model to the highest pinned price, until a person trusts more', async () => {
    await start({ max_price_change: '0.20' })
    expect(await at('1000', 'a')).toBe('paid')
    for (const spelling of ['A', 'a:latest', 'seller/a', '\u0430', 'a?x=1', 'a;rm']) {
      expect(await at('100000', spelling), spelling).toBe('price_unstable')
      expect(await at('1001', spelling), spelling).toBe('price_unstable')
    }
    expect([await at('1000', 'A'), await at('1200', 'A'), await at('1201', 'A')]).toEqual([
      'paid',
      'paid',
      'price_unstable',
    ])
    // What was paid within the allowance moves no pin, so the next new name is held to the same price.
    expect(await at('1200', 'b')).toBe('price_unstable')
    expect(await drift('refused')).toBe(14)

    offer = { ...offerV2, amount: '5000' }
    const { message } = await errorOf(await ask(tollway.url, { model: 'paid/dear', seed: 'y' }))
    expect(message).toContain('no price is pinned for this model and token yet')
    const command = /tollway sellers (trust .* --price 0\.005)`/.exec(message)?.[1] ?? ''
    expect(command).toBe(
      `trust ${seller.apiBase} --path /chat/completions --model dear --network base-sepolia --asset USDC --price 0.005`,
    )
    expect(await tollwaySellers(...command.split(' '))).toMatchObject({ code: 0, err: '' })
    expect([await at('5000', 'dear'), await at('6001', 'dear')]).toEqual(['paid', 'price_unstable'])
    expect(await verifyAudit(join(tollway.directory, 'audit.cli.jsonl'))).toMatchObject({
      ok: true,
      records: 1,
    })
  })

  test('holds for each model by itself, and over a restart', async () => {
    await start({ max_price_change: '0' })
    expect(await at('5000', 'b')).toBe('paid')
    expect(await at('1000', 'a')).toBe('paid')
    expect(await at('1001', 'a')).toBe('price_unstable')
    const { config } = tollway.gateway.parts
    await tollway.gateway.close()
    const again = await startGateway(
      {
        store: config.store,
        payers: { base: { kind: 'direct', key: '${env:SELLERS_WALLET}', networks: ['base-sepolia'] } },
        model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' }],
        policy: { max_price_change: '0' },
      },
      { payers: new Map([['base', cash()]]) },
    )
    const first = tollway
    tollway = again
    expect(await at('1001', 'a')).toBe('price_unstable')
    expect(await at('5000', 'b')).toBe('paid')
    await again.gateway.close()
    await first.close()
  })

  test('without it every price below the ceiling is paid, and the drift is counted', async () => {
    await start({})
    expect([await at('1000'), await at('99000'), await at('10')]).toEqual(['paid', 'paid', 'paid'])
    expect([await drift('up'), await drift('down'), await drift('refused')]).toEqual([1, 1, 0])
  })
})

describe('tollway sellers', () => {
  test('lists what was pinned by the first payment', async () => {
    await start({})
    expect(await tollwaySellers('list')).toEqual({
      code: 0,
      out: 'No seller is pinned yet: the first settled payment to a seller pins it.\n',
      err: '',
    })
    await at('1000')
    const { code, out } = await tollwaySellers('list')
    expect(code).toBe(0)
    expect(out).toMatch(/^SELLER +NETWORK +TOKEN +PAYEE +SINCE \(UTC\)\n/)
    expect(out).toContain(
      `${seller.apiBase}  base-sepolia  USDC   0x90f79bf6eb2c4f870365e785982e1f101e93b906`,
    )
    expect(out).toContain('/chat/completions  m      0.001 USDC    0.001  0.001')
    const listed = JSON.parse((await tollwaySellers('list', '--json')).out) as object
    expect(listed).toMatchObject({
      configured: [],
      pins: [{ api_base: seller.apiBase, network: 'eip155:84532', pay_to: offerV2.payTo.toLowerCase() }],
      prices: [{ path: '/chat/completions', model: 'm', pinned: '1000', last: '1000', first: '1000' }],
    })
  })

  test('trust: a new payee is paid from the next payment on, beside the running gateway, and is on record', async () => {
    await start({})
    await at('1000')
    offer = { ...offerV2, payTo: OTHER_PAYEE }
    expect(await at('1000')).toBe('payee_not_allowed')
    const trusted = await tollwaySellers('trust', `${seller.apiBase}/`, OTHER_PAYEE)
    expect(trusted).toMatchObject({ code: 0, err: '' })
    expect(trusted.out).toContain(OTHER_PAYEE.toLowerCase())
    expect(await at('1000')).toBe('paid')
    offer = offerV2
    expect(await at('1000')).toBe('payee_not_allowed')

    const record = join(tollway.directory, 'audit.cli.jsonl')
    expect(await verifyAudit(record)).toMatchObject({ ok: true, records: 1 })
  })

  test('trust --price: the new price is paid; another model keeps its own', async () => {
    await start({ max_price_change: '0.10' })
    await at('1000', 'a')
    await at('1000', 'b')
    expect(await at('2000', 'a')).toBe('price_unstable')
    expect((await tollwaySellers('trust', seller.apiBase, '--price', '0.002', '--model', 'a')).code).toBe(0)
    expect([await at('2200', 'a'), await at('2201', 'a')]).toEqual(['paid', 'price_unstable'])
    expect(await at('2000', 'b')).toBe('price_unstable')
  })

  test('trust --any-payee: every payee is paid from the next payment on, but the zero address, and is on record', async () => {
    await start({})
    await at('1000')
    offer = { ...offerV2, payTo: OTHER_PAYEE }
    expect(await at('1000')).toBe('payee_not_allowed')
    const trusted = await tollwaySellers('trust', seller.apiBase, '--any-payee', '--json')
    expect(trusted).toMatchObject({ code: 0, err: '' })
    expect(JSON.parse(trusted.out)).toMatchObject({
      pins: [{ api_base: seller.apiBase, network: 'eip155:84532', pay_to: 'any' }],
    })
    for (const payTo of [OTHER_PAYEE, offerV2.payTo, `0x${'5a'.repeat(20)}`]) {
      offer = { ...offerV2, payTo }
      expect(await at('1000')).toBe('paid')
    }
    offer = { ...offerV2, payTo: `0x${'0'.repeat(40)}` }
    expect(await at('1000')).toBe('payee_not_allowed')
    expect((await tollwaySellers('list')).out).toMatch(/base-sepolia +USDC +any +/)
    expect(await readFile(join(tollway.directory, 'audit.cli.jsonl'), 'utf8')).toContain('"pay_to":"any"')
    expect((await tollwaySellers('trust', seller.apiBase, OTHER_PAYEE)).code).toBe(0)
    expect(await at('1000')).toBe('payee_not_allowed')
  })

  test('pay_to: any in the configuration pays every payee, pins none, and is listed', async () => {
    await start({ sellers: { [seller.url]: { pay_to: 'any' } } })
    for (const payTo of [OTHER_PAYEE, offerV2.payTo]) {
      offer = { ...offerV2, payTo }
      expect(await at('1000')).toBe('paid')
    }
    const { out } = await tollwaySellers('list')
    expect(out).toContain(`${seller.url} (policy.sellers): any payee`)
    expect(out).not.toContain('PAYEE ')
    const listed = JSON.parse((await tollwaySellers('list', '--json')).out) as object
    expect(listed).toMatchObject({ configured: [{ origin: seller.url, pay_to: 'any' }], pins: [] })
  })

  test('forget: the next payment pins anew', async () => {
    await start({ max_price_change: '0' })
    await at('1000')
    offer = { ...offerV2, payTo: OTHER_PAYEE }
    expect(await tollwaySellers('forget', seller.apiBase)).toMatchObject({
      code: 0,
      out: 'Removed: 1 payee, 1 price.\n',
    })
    expect(await at('2000')).toBe('paid')
    expect(await at('2001')).toBe('price_unstable')
  })

  test('explains what cannot be meant, and changes and records nothing', async () => {
    await start({ max_price_change: '0' })
    const cases: [string[], RegExp][] = [
      [['forget', seller.apiBase], /^http.* is not a known seller/],
      [['trust', seller.apiBase], /Name the payee address, or a price/],
      [['trust', 'seller.example.com', OTHER_PAYEE], /is not a URL/],
      [['trust', 'https://unknown.example.com/v1', OTHER_PAYEE], /No paid route has the api_base/],
      [['trust', seller.apiBase, OTHER_PAYEE, '--any-payee'], /cannot be combined/],
      [['trust', 'https://unknown.example.com/v1', '--any-payee'], /add --network/],
      [['trust', seller.apiBase, '0x12'], /is not an address/],
      [['trust', seller.apiBase, `0x${'0'.repeat(40)}`], /is the zero address: money sent there is lost/],
      [['trust', seller.apiBase, offerV2.asset], /is the contract of a token/],
      [['trust', seller.apiBase, OTHER_PAYEE, '--network', 'sollana'], /unknown network "sollana"/],
      [['trust', seller.apiBase, OTHER_PAYEE, '--network', 'solana'], /is not an address on solana\./],
      [['trust', seller.apiBase, OTHER_PAYEE, '--asset', 'DOGE'], /not a token that may be spent there/],
      [['trust', seller.apiBase, '--price', '0.001'], /No known price of .* matches/],
      [['trust', seller.apiBase, '--price', '0'], /is not a price in USDC: .* such as 0.0025/],
      [['trust', seller.apiBase, '--price', '0.0000001'], /at most 6 decimals/],
      [['trust', seller.apiBase, '--price=-1'], /is not a price/],
    ]
    for (const [args, message] of cases) {
      const { code, out, err } = await tollwaySellers(...args)
      expect([code, out], args.join(' ')).toEqual([2, ''])
      expect(err).toMatch(message)
    }
    const { store } = tollway.gateway.parts.ledger
    expect([await store.pins(), await store.prices()]).toEqual([[], []])
    const record = await verifyAudit(join(tollway.directory, 'audit.cli.jsonl')).catch(() => undefined)
    expect(record === undefined || (record.ok && record.records === 0)).toBe(true)
  })

  test('says when policy.sellers overrules what is trusted', async () => {
    await start({ sellers: { [seller.url]: { pay_to: [offerV2.payTo] } } })
    const { out } = await tollwaySellers('trust', seller.apiBase, OTHER_PAYEE)
    expect(out).toContain('policy.sellers lists the payees of this seller and takes precedence')
    expect((await tollwaySellers('list')).out).toContain(
      `${seller.url} (policy.sellers): ${offerV2.payTo.toLowerCase()}`,
    )
    expect(await at('1000')).toBe('paid')
  })
})

describe('docs/sellers.md', async () => {
  const blocks = blocksOf(await readFile(join(import.meta.dirname, '../../docs/sellers.md'), 'utf8'))
  const block = (marker: string): string => blocks.find((one) => one.marker === marker)?.text ?? ''

  test('its configuration is one', async () => {
    const config = parseConfig(
      {
        payers: { base: { kind: 'direct', key: '${env:SELLERS_WALLET}', networks: ['base-sepolia'] } },
        model_list: [{ model_name: 'paid/*', api_base: 'https://seller.example.com/v1', payer: 'base' }],
        ...(parse(block('payees')) as object),
      },
      { SELLERS_WALLET: `0x${'11'.repeat(32)}` },
    )
    expect([...config.policy.payTo.keys()]).toEqual(['https://seller.example.com'])
  })

  test.each(['anypayee', 'trustany'])('a seller of any payee: %s', async (marker) => {
    const text = block(marker).replaceAll('https://seller.example.com', seller.url)
    await start(marker === 'anypayee' ? (parse(text) as { policy: object }).policy : {})
    await at('1000')
    if (marker === 'trustany')
      expect(await tollwaySellers(...text.trim().split(' ').slice(2))).toMatchObject({ code: 0 })
    offer = { ...offerV2, payTo: OTHER_PAYEE }
    expect(await at('1000')).toBe('paid')
  })

  test('its commands do what they say', async () => {
    await start({ max_price_change: '0' })
    expect(await at('1000', 'qwen')).toBe('paid')
    const lines = block('sellers').trim().split('\n')
    expect(lines).toHaveLength(4)
    for (const line of lines) {
      const args = line.replaceAll('https://seller.example.com/v1', seller.apiBase).split(' ').slice(2)
      expect(await tollwaySellers(...args), line).toMatchObject({ code: 0, err: '' })
    }
    const record = await readFile(join(tollway.directory, 'audit.cli.jsonl'), 'utf8')
    const types = record
      .trim()
      .split('\n')
      .map((text) => (JSON.parse(text) as { type: string }).type)
    expect(types).toEqual(['seller.trusted', 'seller.price_trusted', 'seller.forgotten'])
  })
})
