/** Purchases from the command line to the chain: bought, spent by a gateway without a key, refilled, handed over, removed. */
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { approvePermit2 } from '../kit/approve.ts'
import { openShop, startBuyingWorld, type BuyingWorld, type Shop } from '../kit/buying.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { buyerFiles } from '../kit/obol-pool.ts'

let started: BuyingWorld
let world: BuyingWorld['world']
let permit2: BuyingWorld['permit2']
let signer: BuyingWorld['signer']
let shop: Shop

beforeAll(async () => {
  started = await startBuyingWorld()
  ;({ world, permit2, signer } = started)
})
afterAll(async () => await started?.close())
beforeEach(() => {
  shop = openShop(world.chain, {}, signer)
})
afterEach(() => {
  world.streamingSeller.setPrice('$0.001')
  world.seller.setPrice('$0.001')
  shop.remove()
})

const MODEL = 'sandbox-small'
const at = (name: string, endpoint: string, model: string, ...more: string[]) =>
  shop.tollway('buy', name, '--endpoint', endpoint, '--model', model, ...more)
const buy = (...more: string[]) => at('qwen', world.streamingSeller.apiBase, MODEL, ...more)

/** A gateway on the shop's ledger with the pool alone: no key. */
async function keyless(): Promise<TestGateway> {
  const { payers, ...rest } = shop.settings() as { payers: { bought: object } }
  return await startGateway({ ...rest, payers: { bought: payers.bought } })
}

async function transfers(): Promise<bigint[]> {
  return (await world.chain.transfers()).map(({ value }) => value)
}

describe('buy', () => {
  test('signs vouchers that a gateway without any key spends, one each', async () => {
    // The others have a signer that runs already; here the key is in a file, and each command opens it.
    shop.remove()
    shop = openShop(world.chain)
    const bought = await buy('--count', '3')
    expect(bought).toMatchObject({ code: 0, err: '' })
    expect(bought.out).toContain('Signed 3 of 3 at 0.001 USDC each (0.003 USDC); 3 are ready')
    const gateway = await keyless()
    try {
      const before = (await transfers()).length
      for (const seed of [1, 2, 3]) {
        const answer = await ask(gateway.url, { model: `paid/${MODEL}`, seed })
        expect([answer.status, answer.headers.get('x-tollway-payer')]).toEqual([200, 'bought'])
      }
      expect((await transfers()).slice(before)).toEqual([1000n, 1000n, 1000n])
      const empty = await ask(gateway.url, { model: `paid/${MODEL}`, seed: 4 })
      expect((await errorOf(empty)).code).toBe('pool_exhausted')
    } finally {
      await gateway.close()
    }
    const { counts } = (await shop.tollway('status', 'qwen', '--json')).json() as { counts: object }
    expect(counts).toMatchObject({ ready: 0, spent: 3 })
  })

  test('buys by Permit2 and from an x402 v1 seller, and a gateway spends both', async () => {
    await approvePermit2(world.chain, 10_000n)
    const one = await at('two', permit2.apiBases.plain, 'sandbox-large', '--count', '2')
    const other = await at('one', world.v1Seller.apiBase, MODEL, '--count', '2')
    expect([one.code, other.code]).toEqual([0, 0])
    const gateway = await keyless()
    try {
      for (const model of ['sandbox-large', MODEL]) {
        const answer = await ask(gateway.url, { model: `paid/${model}` })
        expect([model, answer.status]).toEqual([model, 200])
      }
    } finally {
      await gateway.close()
    }
  })

  test('needs the allowance for all of them, and says how to give it', async () => {
    await approvePermit2(world.chain, 1500n)
    const bought = await at('two', permit2.apiBases.plain, MODEL, '--count', '2')
    expect(bought.code).toBe(1)
    expect(bought.err).toMatch(/may take 1500 units of USDC from the wallet, but 2000 are needed.*cast send/)
  })

  test.each([
    [['--budget', '2500'], 2],
    [['--budget', '$0.001'], 1],
    [['--budget', '1', '--max-total', '5'], undefined],
  ])('%j buys what it covers', async (more, count) => {
    const bought = await buy(...more, '--json')
    if (count === undefined) {
      // One smallest unit: not one voucher.
      expect([bought.code, bought.out]).toEqual([3, ''])
      expect(bought.err).toContain('does not cover one, which costs 0.001 USDC; nothing was signed.')
    } else expect(bought.json()).toMatchObject({ wanted: count, signed: count, remaining: count })
  })

  test.each([
    [
      'more than the wallet has',
      ['--count', '1000', '--budget', '$5'],
      'holds 0.0005 USDC on base-sepolia',
      1,
      500n,
    ],
    [
      'a price over the cost cap',
      ['--count', '1', '--cost-cap', '999'],
      'above the cost cap of 0.000999 USDC',
      3,
    ],
    ["no number, so buy.py's 100 USDC", [], 'holds 0.0005 USDC on base-sepolia', 1, 500n],
    ['too many', ['--count', '1001'], 'from 1 to 1000', 2],
    ['a budget of another token', ['--budget', '1 OBOL'], 'not an amount of USDC', 2],
    [
      'an offer that is not there',
      ['--count', '1', '--payment-option', '2'],
      'The seller has no matching offer',
      1,
    ],
    ['--emit without a place', ['--count', '1', '--emit', 'obol'], 'must be used together', 2],
  ] as const)(
    '%s is refused and leaves nothing behind',
    async (_name, more, words, code, balance?: bigint) => {
      const { chain } = world
      const wallet = chain.accounts.buyer.address
      const full = await chain.balanceOf(wallet)
      if (balance !== undefined) await chain.levers.burnFrom(wallet, full - balance)
      try {
        const bought = await buy(...more)
        expect(bought.err).toContain(words)
        expect(bought.code).toBe(code)
      } finally {
        if (balance !== undefined) await chain.levers.mint(wallet, full - balance)
      }
      const listed = await shop.tollway('list')
      expect(listed.out + listed.err).toMatch(/No purchases yet|nothing was spent or bought/)
    },
  )

  test('limits on what lies unused and on what is signed stop it, and the next run goes on', async () => {
    const first = await buy('--count', '10', '--max-spend-per-day', '0.004')
    expect(first.code).toBe(3)
    expect(first.out).toContain('Signed 4 of 10')
    const again = await buy('--count', '10')
    expect([again.code, again.out]).toEqual([
      3,
      expect.stringContaining('Continued an interrupted order: 6 vouchers were missing.\nSigned 0 of 6'),
    ])
    const more = await buy('--count', '10', '--max-spend-per-day', '1.0')
    expect([more.code, more.out]).toEqual([0, expect.stringContaining('Signed 6 of 6')])
    expect((await shop.tollway('list', '--json')).json()).toMatchObject([
      { ordered: 10, delivered: 10, remaining: 10 },
    ])
  })

  test('tops up a purchase, and refuses to mix it up with another', async () => {
    await buy('--count', '2')
    expect((await buy('--count', '3')).out).toContain(
      'Signed 3 of 3 at 0.001 USDC each (0.003 USDC); 5 are ready',
    )
    expect((await at('qwen', world.v1Seller.apiBase, MODEL, '--count', '1')).err).toContain(
      'Give this purchase another name',
    )
    expect((await at('other', world.seller.apiBase, MODEL, '--count', '1')).err).toContain(
      'is already bought by qwen',
    )
  })

  test('the payee it signed for is pinned, and another one is refused', async () => {
    await buy('--count', '1')
    const pinned = await shop.tollway('sellers', 'list')
    expect(pinned.out).toContain(world.chain.accounts.seller.address.toLowerCase())
    await shop.tollway(
      'sellers',
      'trust',
      world.streamingSeller.apiBase,
      world.chain.accounts.facilitator.address,
    )
    const refused = await buy('--count', '1')
    expect([refused.code, refused.err]).toEqual([3, expect.stringContaining('is pinned to')])
    const lines = readFileSync(join(shop.directory, 'audit.cli.jsonl'), 'utf8')
    expect(lines).toMatch(
      /"type":"purchase.refused"[^\n]*payee_not_allowed|payee_not_allowed[^\n]*"type":"purchase.refused"/,
    )
  })
})

describe('refill and process', () => {
  test('refill signs more by the policy or by a number, under the limits of the purchase', async () => {
    await buy('--count', '2', '--auto-refill', '--refill-count', '3', '--max-total', '7')
    expect((await shop.tollway('refill', 'qwen', '--json')).json()).toMatchObject({
      result: 'refilled',
      signed: 3,
      remaining: 5,
    })
    const limited = await shop.tollway('refill', 'qwen', '--json', '--count', '9')
    expect([limited.code, limited.json()]).toMatchObject([
      3,
      { result: 'refilled', signed: 2, stopped: 'limit' },
    ])
    const full = await shop.tollway('refill', 'qwen')
    expect([full.code, full.out]).toEqual([3, expect.stringContaining('stopped by a limit')])
    expect((await shop.tollway('refill', 'nobody')).code).toBe(2)
  })

  test('process refills what is low, follows a price within the cap, and one bad purchase stops no other', async () => {
    await buy('--count', '2', '--auto-refill', '--refill-threshold', '1', '--cost-cap', '0.002')
    await at('steady', world.seller.apiBase, 'sandbox-large', '--count', '2', '--cost-cap', '0.001')
    const first = await shop.tollway('process', '--all', '--json')
    expect(first.json()).toMatchObject({ purchases: [{ result: 'enough' }, { result: 'no_policy' }] })
    world.streamingSeller.setPrice('$0.0015')
    world.seller.setPrice('$0.0011')
    const moved = await shop.tollway('process', '--all', '--json')
    expect(moved.code).toBe(3)
    expect(moved.json()).toMatchObject({
      purchases: [
        { name: 'qwen', result: 'refilled', signed: 2, dropped: 2, remaining: 2, price: '1500' },
        { name: 'steady', result: 'failed', error: { code: 'price_above_limit' } },
      ],
    })
    const gateway = await keyless()
    try {
      expect((await ask(gateway.url, { model: `paid/${MODEL}` })).status).toBe(200)
      expect((await transfers()).at(-1)).toBe(1500n)
    } finally {
      await gateway.close()
    }
    const low = await shop.tollway('maintain', 'qwen')
    expect([low.code, low.out]).toEqual([0, expect.stringMatching(/qwen +refilled +2 +3 +0\.0015 USDC/)])
    expect((await shop.tollway('process')).code).toBe(2)
  })

  test('a gateway whose pool names who signs refills by itself, also at a price that moved', async () => {
    await buy('--count', '2', '--auto-refill', '--refill-count', '2', '--cost-cap', '0.002')
    const timers = new ManualTimers()
    const { payers, ...rest } = shop.settings() as { payers: { base: object; bought: object } }
    const filled = { ...payers, bought: { ...payers.bought, filled_by: 'base' } }
    const gateway = await startGateway({ ...rest, payers: filled }, { timers })
    const left = async (): Promise<unknown> =>
      (await gateway.gateway.parts.ledger.store.vouchers.pools({ at: Date.now() }))[0]?.counts.ready
    try {
      for (const seed of [1, 2])
        expect((await ask(gateway.url, { model: `paid/${MODEL}`, seed })).status).toBe(200)
      expect(await left()).toBe(0)
      await timers.fire(1_000)
      await expect.poll(left).toBe(2)
      world.streamingSeller.setPrice('$0.0015')
      expect((await errorOf(await ask(gateway.url, { model: `paid/${MODEL}`, seed: 3 }))).code).toBe(
        'pool_terms_changed',
      )
      // The record is written when the refusal has been told.
      await expect.poll(async () => JSON.stringify(await gateway.audit())).toContain('pool_terms_changed')
      await timers.fire(1_000)
      await expect
        .poll(
          async () =>
            (await gateway.gateway.parts.ledger.store.vouchers.pools({ at: Date.now() }))[0]?.pool.amount,
        )
        .toBe(1500n)
      const refills = { payer: 'bought', result: 'refilled' }
      await expect.poll(() => gateway.metric('tollway_voucher_refills_total', refills)).toBe(2)
    } finally {
      await gateway.close()
    }
  })
})

describe('emit', () => {
  test('what buy hands over loads as x402-buyer loads it, counts in the budgets and is not spent here', async () => {
    const tight = shop.write(
      'tight.yaml',
      shop.settings({ budgets: [{ name: 'all', limit_usd: '0.004', window: 'day' }] }),
    )
    const out = join(shop.directory, 'buyer')
    const bought = await buy('--count', '3', '--emit', 'obol', '--out', out, '--config', tight)
    expect([bought.code, bought.out]).toEqual([0, expect.stringContaining('Exported 3;')])
    expect(statSync(join(out, 'auths', 'qwen.json')).mode & 0o777).toBe(0o600)
    const budgets = await shop.tollway('budgets', '--json', '--config', tight)
    expect(budgets.out).toMatch(/"remaining[^"]*": "0\.001"/)
    // Two more would be over the budget: one is handed over, and the other stays here.
    const more = await buy('--count', '2', '--emit', 'obol', '--out', out, '--config', tight)
    expect([more.code, more.out]).toEqual([3, expect.stringContaining('Exported 1;')])
    expect((await shop.tollway('status', 'qwen', '--json')).json()).toMatchObject({
      remaining: 1,
      handed_over: 4,
    })
    const files = buyerFiles()
    writeFileSync(files.state, JSON.stringify({ consumed: { qwen: [firstKey(out)] } }))
    const payer = {
      kind: 'obol',
      mode: 'pool',
      config: join(out, 'config'),
      auths: join(out, 'auths'),
      state: files.state,
    }
    const gateway = await startGateway({ payers: { buyer: payer } })
    try {
      const status = (await (await fetch(`${gateway.url}/status`)).json()) as Record<string, object>
      expect(status['qwen']).toMatchObject({ remote_model: MODEL, remaining: 3, spent: 1 })
      expect((await ask(gateway.url, { model: `paid/${MODEL}` })).status).toBe(200)
    } finally {
      await gateway.close()
    }
    const consumed = JSON.parse(readFileSync(files.state, 'utf8')) as { consumed: { qwen: string[] } }
    expect(consumed.consumed.qwen).toHaveLength(2)
    files.remove()
  })

  test('a PurchaseRequest is written that loads again, in the namespace that was named', async () => {
    const out = join(shop.directory, 'manifests')
    const options = ['--count', '2', '--emit', 'purchase-request', '--out', out]
    expect((await buy(...options, '--namespace', 'agent-1')).code).toBe(0)
    expect(readFileSync(join(out, 'qwen.yaml'), 'utf8')).toContain('namespace: agent-1')
    expect((await buy('--count', '2', '--namespace', 'agent-1')).code).toBe(2)
    expect((await buy(...options, '--namespace', 'Not_One')).code).toBe(2)
    const gateway = await startGateway({ payers: { buyer: { kind: 'obol', mode: 'pool', config: out } } })
    try {
      expect((await ask(gateway.url, { model: `paid/${MODEL}` })).status).toBe(200)
    } finally {
      await gateway.close()
    }
  })
})

describe('remove', () => {
  test('uses up what is left first, buys no more meanwhile, and is gone afterwards', async () => {
    await buy('--count', '1', '--auto-refill')
    const draining = await shop.tollway('remove', 'qwen')
    expect(draining.out).toMatch(
      /^qwen will be removed when its vouchers are used up: 1 are left and 0 are in use, until \d{4}-.*Z at the latest/,
    )
    expect((await buy('--count', '1')).err).toContain('qwen is being removed')
    expect((await shop.tollway('process', 'qwen', '--json')).json()).toMatchObject({
      purchases: [{ result: 'draining' }],
    })
    const gateway = await keyless()
    try {
      expect((await ask(gateway.url, { model: `paid/${MODEL}` })).status).toBe(200)
    } finally {
      await gateway.close()
    }
    expect((await shop.tollway('process', '--all')).out).toContain('used up and removed')
    expect((await shop.tollway('list')).out).toContain('No purchases yet')
  })

  test('--now gives up what is left', async () => {
    await buy('--count', '2')
    expect((await shop.tollway('remove', 'qwen', '--now')).out).toBe(
      'qwen was removed; 2 vouchers were discarded.\n',
    )
    expect((await shop.tollway('status', 'qwen')).code).toBe(2)
  })
})

describe('balance, list and status', () => {
  test('balance shows tokens, the coin, what Permit2 may take, and which node did not answer', async () => {
    await approvePermit2(world.chain, 2_000_000n)
    const shown = await shop.tollway('balance')
    expect(shown.code).toBe(0)
    expect(shown.out).toMatch(/base +base-sepolia +USDC +\d+(\.\d+)? +\$\d+(\.\d+)? +2 +0x[0-9a-f]{40}\n/)
    expect(shown.out).toMatch(/base +base-sepolia +native +0 +-/)
    const dead = shop.write(
      'dead.yaml',
      shop.settings({ chains: { 'base-sepolia': { rpc: 'http://127.0.0.1:1' } } }),
    )
    const silent = await shop.tollway('balance', 'base', '--json', '--config', dead)
    expect(silent.code).toBe(1)
    expect(silent.json()).toMatchObject([{ problem: 'no_answer', balance: null }, { problem: 'no_answer' }])
    expect((await shop.tollway('balance', 'nobody')).code).toBe(2)
  })

  test('list and status tell a purchase in full, to people and to programs', async () => {
    await buy('--count', '2', '--auto-refill', '--refill-threshold', '0', '--cost-cap', '$0.002')
    expect((await shop.tollway('list')).out).toMatch(
      /qwen +sandbox-small +2 +0 +0 +0\.001 USDC +base-sepolia +2 at 0 left/,
    )
    expect((await shop.tollway('status')).out).toMatch(
      /spent by +bought[^]*unused value +0\.002 USDC \(\$0\.002\)/,
    )
    expect((await shop.tollway('status', 'qwen', '--json')).json()).toMatchObject({
      name: 'qwen',
      public_model: `paid/${MODEL}`,
      price: '1000',
      max_price: '2000',
      auto_refill: { threshold: 0, count: 2 },
      exposure_usd: '0.002',
    })
  })
})

function firstKey(out: string): string {
  const [first] = JSON.parse(readFileSync(join(out, 'auths', 'qwen.json'), 'utf8')) as { id: string }[]
  return first?.id ?? ''
}
