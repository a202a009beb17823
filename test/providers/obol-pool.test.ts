/** What every payer keeps, kept by the pool; and what its files may hold. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  consumeKey,
  methodOf,
  obolNetwork,
  poolOfUpstream,
  strippedModel,
  voucherOf,
} from '../../providers/obol/pool-vouchers.ts'
import { ObolPool } from '../../providers/obol/pool.ts'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import { systemClock } from '../../src/core/clock.ts'
import type { Provider } from '../../src/core/payer/provider.ts'
import { Ledger } from '../../src/io/ledger/ledger.ts'
import { ConsumedFile } from '../../src/io/external-payers/obol/consumed-file.ts'
import {
  authSchema,
  readAuths,
  readConfig,
  upstreamSchema,
} from '../../src/io/external-payers/obol/documents.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { VoucherBook } from '../../src/io/vouchers/voucher-book.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { buyerFiles, signAuths, upstreamFile, USDC } from '../kit/obol-pool.ts'
import { origin, payee } from '../kit/quotes.ts'
import { FragileAudit } from '../ledger/kit.ts'
import { instance } from '../store/samples.ts'
import { LIMITS } from '../store/voucher-samples.ts'
import { describeProvider } from './conformance.ts'

const Address = z.templateLiteral(['0x', z.string()])
const payTo = Address.parse(payee)
const cleanup: (() => unknown)[] = []
afterEach(async () => {
  for (const end of cleanup.splice(0).toReversed()) await end()
})

/** A voucher belongs to a charge: each authorization of the suite gets one, as the interceptor would give it. */
async function pool(): Promise<Provider> {
  const files = buyerFiles()
  cleanup.push(() => files.remove())
  const auths = await signAuths(45, { payTo })
  files.write('one', upstreamFile({ url: origin, payTo }), auths)
  const store = memoryStore()
  const ledger = await Ledger.open({
    store,
    audit: new FragileAudit(),
    clock: systemClock,
    random: randomBytes,
    instance: instance('ins_pool'),
    observers: [],
  })
  const inner = await ObolPool.open({
    payer: 'obol',
    paths: files,
    consumed: ConsumedFile.open(files.state, 'ins_pool', (error) => expect.fail(String(error))),
    book: new VoucherBook({ ledger, clock: systemClock, limits: LIMITS }),
    store,
    assets: BUILT_IN_ASSETS,
    reloadMs: 5000,
    clock: systemClock,
    timers: new ManualTimers(),
  })
  return {
    name: inner.name,
    networks: inner.networks,
    supports: (offer) => inner.supports(offer),
    closed: (charge, outcome) => inner.closed(charge, outcome),
    close: () => inner.close(),
    async authorize(quote, charge, signal) {
      const { asset, payTo: to, amount, microUsd } = quote
      const held = await ledger.reserve(
        {
          requestId: charge,
          caller: 'c',
          model: 'm',
          route: 'paid/sandbox-small',
          payer: 'obol',
          seller: origin,
          apiBase: `${origin}/v1`,
          network: 'eip155:84532',
          asset: asset?.address ?? '',
          symbol: 'USDC',
          decimals: 6,
          payTo: to ?? '',
          amount: amount ?? 1n,
          microUsd,
        },
        [],
        false,
      )
      return await inner.authorize(quote, held.id, signal)
    },
  }
}

describeProvider('obol', pool, { presigned: true })

describe('the files of x402-buyer', () => {
  const upstream = upstreamSchema.parse(upstreamFile({ url: 'https://s.example/services/qwen/', payTo }))

  test('consume keys are looked for in the order of x402-buyer', () => {
    const auth = (value: object): string => consumeKey(authSchema.parse(value))
    const payment = (payload: object): object => ({ payment: { payload } })
    expect(auth({ id: 'id', nonce: 'n', signature: 's' })).toBe('id')
    expect(auth({ nonce: 'n', signature: 's' })).toBe('n')
    expect(auth(payment({ signature: 's', authorization: { nonce: 'a' } }))).toBe('a')
    expect(auth(payment({ signature: 's', permit2Authorization: { nonce: '7' } }))).toBe('7')
    expect(auth({ signature: 's' })).toBe('s')
    expect(auth({})).toBe('')
  })

  test('models are looked up without any paid/ and openai/ in front', () => {
    const models = ['m', 'paid/m', 'openai/paid/m', 'paid/openai/m', ' paid/paid/m ']
    expect(models.map(strippedModel)).toEqual(Array(5).fill('m'))
    expect(strippedModel('org/m')).toBe('org/m')
  })

  test("networks are accepted by x402-buyer's names, in any case, and by CAIP-2 id", () => {
    const names = [
      'base',
      'base-mainnet',
      'Base-Sepolia',
      'mainnet',
      'ethereum-mainnet',
      'eip155:8453',
      'nowhere',
    ]
    expect(names.map(obolNetwork)).toEqual([
      'eip155:8453',
      'eip155:8453',
      'eip155:84532',
      'eip155:1',
      'eip155:1',
      'eip155:8453',
      undefined,
    ])
  })

  test('an upstream becomes a pool, or a sentence that says what is wrong', () => {
    const make = (changes: object) =>
      poolOfUpstream('obol', 'q', { ...upstream, ...changes }, 'eip3009', BUILT_IN_ASSETS)
    expect(make({})).toMatchObject({
      seller: 'https://s.example/services/qwen',
      network: 'eip155:84532',
      asset: USDC.toLowerCase(),
      payTo: payTo.toLowerCase(),
      amount: 1000n,
      remoteModel: 'sandbox-small',
      symbol: 'USDC',
      decimals: 6,
    })
    expect(make({ remoteModel: '' })).toMatchObject({ remoteModel: 'q' })
    for (const wrong of [
      { network: 'x' },
      { url: 'ftp://x' },
      { price: '1.5' },
      { price: '0' },
      { payTo: '' },
      { asset: '0x1' },
    ]) {
      expect(make(wrong)).toEqual(expect.stringMatching(/^its /))
    }
  })

  test('flat, wrapped and Permit2 vouchers say the same in our terms, with the recovery id contracts expect', async () => {
    const shapes = ['flat', 'payment', 'permit2'] as const
    for (const shape of shapes) {
      const [auth] = await signAuths(1, { payTo, shape })
      const text = JSON.stringify([auth]).replace(/1b"/g, '00"').replace(/1c"/g, '01"')
      const [parsed] = readAuths(text, 'q').get('q') ?? []
      if (!parsed) throw new Error('not read')
      const own = poolOfUpstream('obol', 'q', upstream, methodOf([parsed], upstream), BUILT_IN_ASSETS)
      if (typeof own === 'string') throw new Error(own)
      const voucher = voucherOf(parsed, own, BUILT_IN_ASSETS)
      expect(voucher).toMatchObject({
        method: shape === 'permit2' ? 'permit2' : 'eip3009',
        amount: 1000n,
        payTo: payTo.toLowerCase(),
        nonce: expect.stringMatching(/^0x[0-9a-f]{64}$/),
        microUsd: 1000n,
        payment: expect.stringMatching(/"signature":"0x[0-9a-f]{128}1[bc]"/),
      })
    }
  })

  test('a voucher with a missing field, another spender or another network is not loaded', async () => {
    const own = poolOfUpstream('obol', 'q', upstream, 'eip3009', BUILT_IN_ASSETS)
    if (typeof own === 'string') throw new Error(own)
    const [flat = {}] = await signAuths(1, { payTo, shape: 'flat' })
    const [permit2] = await signAuths(1, { payTo, shape: 'permit2' })
    const [wrapped] = await signAuths(1, { payTo })
    const of = (value: unknown): unknown => voucherOf(authSchema.parse(value), own, BUILT_IN_ASSETS)
    for (const changes of [
      { signature: '0x12' },
      { nonce: '7' },
      { value: '1e3' },
      { validBefore: '' },
      { from: 'x' },
      { to: '' },
    ]) {
      expect(of({ ...flat, ...changes })).toBe('unreadable')
    }
    expect(of(JSON.parse(JSON.stringify(permit2).replace(/"spender":"0x..../, '"spender":"0xffff')))).toBe(
      'other_spender',
    )
    expect(of(JSON.parse(JSON.stringify(wrapped).replace('eip155:84532', 'eip155:1')))).toBe('other_network')
  })

  test('PurchaseRequests are read as YAML, JSON and lists; a price that is a number is refused', () => {
    const spec = {
      endpoint: 'https://s.example/services/qwen/v1/chat/completions',
      model: 'm',
      count: 1,
      payment: { network: 'base', payTo, price: '1', asset: USDC },
    }
    const purchase = {
      apiVersion: 'obol.org/v1alpha1',
      kind: 'PurchaseRequest',
      metadata: { name: 'p' },
      spec,
    }
    const list = { kind: 'List', items: [purchase] }
    for (const text of [
      JSON.stringify(purchase),
      JSON.stringify(list),
      `---\n${JSON.stringify(purchase)}\n---\n{}\n`,
    ]) {
      expect([...readConfig(text).upstreams]).toMatchObject([
        ['p', { url: 'https://s.example/services/qwen', remoteModel: 'm', price: '1' }],
      ])
    }
    expect(() => readConfig(JSON.stringify({ upstreams: { a: { ...upstream, price: 1 } } }))).toThrow(/price/)
    expect(() => readConfig('a: &x [1]\nb: *x\nupstreams: {')).toThrow(/neither JSON nor YAML/)
    expect(readConfig('{"upstreams": null}').upstreams.size).toBe(0)
  })
})

describe('the state file', () => {
  test('is in the shape of x402-buyer, keeps names it does not know, and is refused when it is something else', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tollway-consumed-'))
    cleanup.push(() => rmSync(directory, { recursive: true }))
    const path = join(directory, 'consumed.json')
    writeFileSync(path, '{"consumed": {"old": ["0x2", "0x1"], "none": null}}')
    const file = ConsumedFile.open(path, 'a', (error) => expect.fail(String(error)))
    file.mark('new', ['0xb', '0xa', ''])
    file.mark('new', ['0xa'])
    await file.close()
    // What Go's encoding/json takes for `map[string]map[string][]string`.
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({
      consumed: { new: ['0xa', '0xb'], none: [], old: ['0x1', '0x2'] },
    })
    writeFileSync(path, '{"consumed": ["x"]}')
    expect(() => ConsumedFile.open(path, 'a', () => undefined)).toThrow(/used vouchers would be sent again/)
    writeFileSync(path, '')
    expect(() => ConsumedFile.open(path, 'a', () => undefined)).toThrow(/not x402-buyer's/)
  })

  test('a failed write is reported, and its keys are written with the next one', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tollway-consumed-'))
    cleanup.push(() => rmSync(directory, { recursive: true }))
    const path = join(directory, 'consumed.json')
    const failures: unknown[] = []
    const file = ConsumedFile.open(path, 'a', (error) => failures.push(error))
    mkdirSync(`${path}.tmp`)
    file.mark('q', ['0x1'])
    await file.flushed()
    expect(failures).toHaveLength(1)
    rmdirSync(`${path}.tmp`)
    file.mark('q', ['0x2'])
    await file.close()
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ consumed: { q: ['0x1', '0x2'] } })
  })
})
