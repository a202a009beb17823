/**
 * A gateway in the place of x402-buyer: its files, paths, models and series, without what goes wrong there. Most of it against
 * a seller of our own that only looks at payments: how vouchers are used is tried here, not what the chain makes of them
 * (test/providers/obol-pool-paying.test.ts).
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { signAuths, upstreamFile, USDC, type Auth } from '../kit/obol-pool.ts'
import { answer, challenge, consumed, payTo, startBuyer, status } from '../kit/mock-obol-seller.ts'

const cleanup: (() => unknown)[] = []
afterEach(async () => {
  for (const end of cleanup.splice(0).toReversed()) await end()
})

const buyer = (auths: readonly Auth[]) => startBuyer(auths, cleanup)

const pay = (
  gateway: TestGateway,
  model = 'paid/qwen3.5:9b',
  user = crypto.randomUUID(),
): Promise<Response> => ask(gateway.url, { model, user })

const compare = (a: string, b: string): number => (a < b ? -1 : 1)

async function reload({ url }: TestGateway): Promise<unknown> {
  return await (await fetch(`${url}/admin/reload`, { method: 'POST' })).json()
}

describe('in the place of x402-buyer', () => {
  test('serves every spelling of a model, strips it for the seller, and sends no credential of the client', async () => {
    const { seller, open } = await buyer(await signAuths(5, { payTo }))
    const gateway = await open()
    const spellings = ['paid/qwen3.5:9b', 'openai/paid/qwen3.5:9b', 'openai/qwen3.5:9b', 'qwen3.5:9b']
    for (const model of spellings) {
      const response = await ask(
        gateway.url,
        { model, user: model },
        { authorization: 'Bearer unused', cookie: 'a=b' },
      )
      expect([model, response.status]).toEqual([model, 200])
    }
    const bare = await fetch(`${gateway.url}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'qwen3.5:9b', messages: [] }),
    })
    expect(bare.status).toBe(200)
    expect(seller.paid.map(({ body }) => body['model'])).toEqual(Array(5).fill('qwen3.5:9b'))
    expect(new Set(seller.paid.map(({ url }) => url))).toEqual(
      new Set(['/services/qwen/v1/chat/completions']),
    )
    for (const headers of [...seller.unpaid, ...seller.paid.map((paid) => paid.headers)]) {
      expect([headers.authorization, headers.cookie]).toEqual([undefined, undefined])
    }
    expect((await ask(gateway.url, { model: 'paid/unknown' })).status).toBe(404)
    const models = (await (await fetch(`${gateway.url}/v1/models`)).json()) as { data: { id: string }[] }
    expect(models.data.map(({ id }) => id)).toEqual(['paid/qwen3.5:9b'])
  })

  test('pays under both header names with the accepted entry as the seller sent it, and v1 sellers in v1', async () => {
    const { seller, open } = await buyer(await signAuths(3, { payTo }))
    const gateway = await open()
    for (const speaks of ['body', 'header', 'v1'] as const) {
      seller.speaks = speaks
      expect((await pay(gateway)).status).toBe(200)
    }
    const [body, header, v1] = seller.paid
    expect(body?.headers['payment-signature']).toBe(body?.headers['x-payment'])
    expect(header?.headers['payment-signature']).toBeDefined()
    // Letter case included: their sellers compare exactly.
    expect(body?.message).toMatchObject({ x402Version: 2, accepted: { payTo, asset: USDC, amount: '1000' } })
    expect([v1?.headers['payment-signature'], v1?.message['x402Version']]).toEqual([undefined, 1])
    expect(v1?.message).toMatchObject({ scheme: 'exact', network: 'base-sepolia' })
  })

  test('loads flat, wrapped and PurchaseRequest vouchers from directories and single files alike', async () => {
    const { seller, files } = await buyer([])
    const [flat = {}] = await signAuths(1, { payTo, shape: 'flat' })
    const [wrapped = {}, bought = {}, zero = {}] = await signAuths(3, { payTo })
    const upstream = upstreamFile({ url: seller.url, payTo, model: 'm' })
    const recoveryZero = JSON.parse(JSON.stringify(zero).replace(/1b"/, '00"').replace(/1c"/, '01"')) as Auth
    const single = {
      config: join(files.directory, 'config.json'),
      auths: join(files.directory, 'auths.json'),
    }
    writeFileSync(single.config, JSON.stringify({ upstreams: { one: upstream } }))
    writeFileSync(single.auths, JSON.stringify({ one: [flat, null, wrapped, recoveryZero] }))
    const purchase = join(files.directory, 'purchase.yaml')
    writeFileSync(
      purchase,
      `apiVersion: obol.org/v1alpha1
kind: PurchaseRequest
metadata: { name: bought }
spec:
  endpoint: ${seller.url}/v1/chat/completions
  model: m2
  count: 1
  payment: { network: base-sepolia, payTo: "${payTo}", price: "1000", asset: "${USDC}" }
  preSignedAuths: [${JSON.stringify(bought)}]
`,
    )
    const gateway = await startGateway({
      payers: {
        single: { kind: 'obol', mode: 'pool', ...single },
        manifest: { kind: 'obol', mode: 'pool', config: purchase },
      },
    })
    cleanup.push(() => gateway.close())
    expect(await status(gateway)).toMatchObject({
      one: {
        url: seller.url,
        remote_model: 'm',
        public_model: 'paid/m',
        remaining: 3,
        spent: 0,
        network: 'base-sepolia',
      },
      bought: { remote_model: 'm2', remaining: 1, price: '1000' },
    })
    for (const model of ['m', 'm', 'm', 'm2']) expect((await pay(gateway, model)).status).toBe(200)
    const signatures = seller.paid.map(({ message }) =>
      String((message['payload'] as Auth)['signature']).slice(-2),
    )
    expect(signatures.every((v) => v === '1b' || v === '1c')).toBe(true)
    expect(new Set(seller.paid.map(({ nonce }) => nonce)).size).toBe(4)
  })

  test('uses each voucher at most once under 100 requests at once with a reload after every few', async () => {
    const auths = await signAuths(80, { payTo })
    const { seller, files, timers, open } = await buyer(auths)
    const gateway = await open()
    let answered = 0
    const requests = Array.from({ length: 100 }, async () => {
      const response = await pay(gateway)
      await response.text()
      answered += 1
      return response.status
    })
    // Driven, not slept: the next reload begins when the one before is done, with other bytes in the file each time.
    let reloads = 0
    const isDone = (): boolean => answered === 100
    while (!isDone()) {
      files.write('remote-qwen', upstreamFile({ url: seller.url, payTo, model: 'qwen3.5:9b' }), [
        ...auths,
        ...Array<Auth>(reloads % 3).fill(auths[0] ?? {}),
      ])
      reloads += 1
      await timers.fire(5000)
      await timers.armed(5000)
    }
    const statuses = await Promise.all(requests)
    expect(statuses.filter((code) => code === 200)).toHaveLength(80)
    expect(statuses.filter((code) => code === 400)).toHaveLength(20)
    // Fewer than there are payments, as what is asked for at once is booked together.
    expect(reloads).toBeGreaterThanOrEqual(3)
    expect(new Set(seller.paid.map(({ nonce }) => nonce)).size).toBe(80)
    expect(seller.paid).toHaveLength(80)
    expect(await status(gateway)).toMatchObject({ 'remote-qwen': { remaining: 0, spent: 80, held: 0 } })
  })

  test('a reload never brings a held voucher back, and one that is spent stays spent', async () => {
    const { seller, files, open } = await buyer(await signAuths(2, { payTo }))
    const gateway = await open()
    const arrived = Promise.withResolvers<ServerResponse>()
    seller.onPaid = (response) => arrived.resolve(response)
    const slow = pay(gateway)
    const held = await arrived.promise
    expect(await status(gateway)).toMatchObject({ 'remote-qwen': { remaining: 1, held: 1, spent: 1 } })
    seller.onPaid = undefined
    const text = readFileSync(join(files.auths, 'remote-qwen.json'), 'utf8')
    writeFileSync(join(files.auths, 'remote-qwen.json'), `${text}\n`)
    expect(await reload(gateway)).toEqual({ status: 'reload triggered' })
    await gateway.gateway.parts.pools.get('obol')?.reload('test').done
    expect((await pay(gateway)).status).toBe(200)
    expect(await errorOf(await pay(gateway))).toMatchObject({ code: 'pool_exhausted' })
    answer(held)
    expect((await slow).status).toBe(200)
    expect(new Set(seller.paid.map(({ nonce }) => nonce)).size).toBe(2)
    expect(await status(gateway)).toMatchObject({ 'remote-qwen': { remaining: 0, held: 0, spent: 2 } })
  })

  test('a lost reply, a 5xx and a second 402 quarantine the voucher; the next request uses another one', async () => {
    const { seller, files, open } = await buyer(await signAuths(4, { payTo }))
    const gateway = await open()
    seller.onPaid = (response, count) => {
      if (count === 1) response.destroy()
      else if (count === 2) response.writeHead(503).end()
      else if (count === 3) challenge(seller, response)
      else answer(response)
    }
    const codes = []
    for (let n = 0; n < 3; n += 1) codes.push((await errorOf(await pay(gateway))).code)
    expect(codes).toEqual(['payment_uncertain', 'seller_error', 'payment_rejected'])
    expect((await pay(gateway)).status).toBe(200)
    expect(new Set(seller.paid.map(({ nonce }) => nonce)).size).toBe(4)
    expect(await status(gateway)).toMatchObject({ 'remote-qwen': { remaining: 0, quarantined: 3, spent: 4 } })
    await gateway.close()
    // Used as far as x402-buyer is concerned: it must not send them again either.
    expect(consumed(files)).toEqual({
      consumed: { 'remote-qwen': seller.paid.map(({ nonce }) => nonce).toSorted(compare) },
    })
  })

  test('tells an empty pool from a moved price, and pays no other price than was signed', async () => {
    const { seller, open } = await buyer(await signAuths(1, { payTo }))
    const gateway = await open()
    for (const price of ['1001', '999']) {
      seller.price = price
      const error = await errorOf(await pay(gateway))
      expect(error.code).toBe('pool_terms_changed')
      expect(error.message).toContain('1000 smallest units')
    }
    seller.price = '1000'
    expect((await pay(gateway)).status).toBe(200)
    const error = await errorOf(await pay(gateway))
    expect([error.code, error.message]).toEqual([
      'pool_exhausted',
      expect.stringContaining('No voucher is left'),
    ])
    expect(seller.paid).toHaveLength(1)
  })

  test('looks at the vouchers themselves: what is expired, for another payee or malformed is not counted and not sent', async () => {
    const soon = Math.floor(Date.now() / 1000) + 5
    const expired = await signAuths(2, { payTo, validBefore: soon })
    const others = await signAuths(1, { payTo: '0x00000000000000000000000000000000000000aa' })
    const dearer = await signAuths(1, { payTo, price: 2000n })
    const good = await signAuths(1, { payTo })
    const [forged = {}] = await signAuths(1, { payTo, shape: 'flat' })
    const { seller, open } = await buyer([
      { ...forged, from: payTo },
      ...expired,
      ...others,
      ...dearer,
      { signature: '0x', nonce: '1' },
      ...good,
    ])
    const gateway = await open()
    expect(await status(gateway)).toMatchObject({ 'remote-qwen': { remaining: 1 } })
    expect((await pay(gateway)).status).toBe(200)
    expect(seller.paid.map(({ nonce }) => nonce)).toEqual([good[0]?.['id']])
    expect((await errorOf(await pay(gateway))).code).toBe('pool_exhausted')
  })

  test('a changed price in the configuration drops the old vouchers as a whole, so that none blocks the new ones', async () => {
    const old = await signAuths(2, { payTo })
    const { seller, files, open } = await buyer(old)
    const gateway = await open()
    const fresh = await signAuths(1, { payTo, price: 1500n })
    files.write('remote-qwen', upstreamFile({ url: seller.url, payTo, price: 1500n, model: 'qwen3.5:9b' }), [
      ...old,
      ...fresh,
    ])
    await gateway.gateway.parts.pools.get('obol')?.reload('test').done
    seller.price = '1500'
    expect(await status(gateway)).toMatchObject({ 'remote-qwen': { remaining: 1, price: '1500' } })
    expect((await pay(gateway)).status).toBe(200)
  })

  test('starts where x402-buyer left off and leaves a file it can go on from', async () => {
    const auths = await signAuths(3, { payTo })
    const { seller, files, open } = await buyer(auths)
    const before = { consumed: { 'remote-qwen': [auths[0]?.['id']], gone: ['0xkept'] } }
    writeFileSync(files.state, JSON.stringify(before))
    const gateway = await open()
    expect(await status(gateway)).toMatchObject({ 'remote-qwen': { remaining: 2, spent: 1 } })
    expect((await pay(gateway)).status).toBe(200)
    await gateway.close()
    const [sent] = seller.paid
    expect(sent?.nonce).not.toBe(auths[0]?.['id'])
    expect(consumed(files)).toEqual({
      consumed: {
        gone: ['0xkept'],
        'remote-qwen': [String(auths[0]?.['id']), sent?.nonce ?? ''].toSorted(compare),
      },
    })
  })

  test('refuses to start beside another writer of the state file, or without its files', async () => {
    const { files, open } = await buyer(await signAuths(1, { payTo }))
    await open()
    await expect(open()).rejects.toThrow(/written by another process/)
    await expect(
      open({
        payers: { obol: { ...files.payer, state: undefined, config: join(files.directory, 'nowhere') } },
      }),
    ).rejects.toThrow(/payers\.obol: .*nowhere cannot be read/)
  })

  test('keeps serving what was loaded when the files break, and drops an upstream whose file is gone', async () => {
    const { files, seller, open } = await buyer(await signAuths(3, { payTo }))
    const gateway = await open()
    const again = () => gateway.gateway.parts.pools.get('obol')?.reload('test').done
    writeFileSync(join(files.config, 'remote-qwen.json'), '{ "url": ')
    await again()
    expect((await pay(gateway)).status).toBe(200)
    writeFileSync(join(files.auths, 'remote-qwen.json'), '[ {')
    files.write(
      'other',
      upstreamFile({ url: seller.url, payTo, model: 'other' }),
      await signAuths(1, { payTo }),
    )
    await again()
    expect((await pay(gateway)).status).toBe(200)
    expect((await pay(gateway, 'other')).status).toBe(200)
    rmSync(join(files.config, 'remote-qwen.json'))
    rmSync(join(files.auths, 'remote-qwen.json'))
    await again()
    expect((await pay(gateway)).status).toBe(404)
    expect(Object.keys(await status(gateway))).toEqual(['other'])
  })

  test('a network that comes with the files while it runs and has no node is told once', async () => {
    const { files, seller, open } = await buyer(await signAuths(1, { payTo }))
    const told: string[] = []
    const gateway = await open({}, (event) => {
      if (event.type === 'chain') told.push(`${event.network} ${event.reason}`)
    })
    const upstream = upstreamFile({ url: seller.url, payTo, model: 'new' })
    const asset = '0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913'
    for (const price of ['1', '2']) {
      files.write('new', { ...upstream, network: 'base', asset, price }, [])
      await gateway.gateway.parts.pools.get('obol')?.reload('test').done
    }
    expect(told).toEqual(['eip155:84532 no_rpc', 'eip155:8453 no_rpc'])
    expect(gateway.gateway.parts.payers.get('obol')?.networks).toEqual(['eip155:84532', 'eip155:8453'])
  })

  test('answers /healthz, /admin and /upstream as x402-buyer does, with a key in front of /admin where one is set', async () => {
    const { seller, open } = await buyer(await signAuths(3, { payTo }))
    process.env['TEST_OBOL_ADMIN'] = 'admin-key-123456'
    const gateway = await open({ admin: { key: '${env:TEST_OBOL_ADMIN}' } })
    const { url } = gateway
    expect(await (await fetch(`${url}/healthz`)).text()).toBe('ok')
    expect((await fetch(`${url}/admin/reload`, { method: 'POST' })).status).toBe(401)
    const headers = { authorization: 'Bearer admin-key-123456' }
    const admin = async (path: string): Promise<unknown[]> => {
      const response = await fetch(`${url}/admin/${path}`, { method: 'POST', headers })
      return [response.status, await response.json()]
    }
    expect(await admin('reload')).toEqual([200, { status: 'reload triggered' }])
    expect(await admin('remove')).toMatchObject([400, { error: { param: 'name' } }])
    const upstream = (name: string, path = 'v1/chat/completions'): Promise<Response> =>
      fetch(`${url}/upstream/${name}/${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'as-it-is', messages: [] }),
      })
    expect((await upstream('remote-qwen')).status).toBe(200)
    expect((await upstream('remote-qwen', 'v1/embeddings')).status).toBe(200)
    expect(seller.paid.map(({ body, url: path }) => [body['model'], path])).toEqual([
      ['as-it-is', '/services/qwen/v1/chat/completions'],
      ['as-it-is', '/services/qwen/v1/embeddings'],
    ])
    expect((await upstream('unknown')).status).toBe(404)
    expect(await admin('remove?name=remote-qwen')).toEqual([200, { status: 'removed', name: 'remote-qwen' }])
    expect(await status(gateway)).toEqual({})
    expect((await pay(gateway)).status).toBe(404)
    await gateway.gateway.parts.pools.get('obol')?.reload('test').done
    expect(await status(gateway)).toMatchObject({ 'remote-qwen': { remaining: 1 } })
    // Wrong keys are counted once for every path that asks for it.
    const guess = { authorization: 'Bearer guessed' }
    const guessed = [
      ...Array.from({ length: 5 }, () => ['/admin/reload', 'POST']),
      ...Array.from({ length: 5 }, () => ['/api/budgets', 'GET']),
    ]
    for (const [path = '', method = ''] of guessed) {
      expect((await fetch(`${url}${path}`, { method, headers: guess })).status).toBe(401)
    }
    expect((await fetch(`${url}/admin/reload`, { method: 'POST', headers: guess })).status).toBe(429)
  })

  test('without files it pays with what lies in its ledger, also with what was put there while it ran', async () => {
    const { seller, files, timers, open } = await buyer(await signAuths(2, { payTo }))
    const ledger = `sqlite:${join(files.directory, 'ledger.db')}`
    const stored = { payers: { obol: { kind: 'obol', mode: 'pool' } }, store: ledger }
    const gateway = await open(stored)
    expect(await status(gateway)).toEqual({})
    // Another process on the same ledger puts them there: here the pool of the files does.
    const other = await startGateway({ payers: { obol: files.payer }, store: ledger })
    await other.close()
    await timers.fire(5000)
    await timers.armed(5000)
    expect(await status(gateway)).toMatchObject({ 'remote-qwen': { remaining: 2 } })
    expect((await pay(gateway)).status).toBe(200)
    expect((await pay(gateway)).status).toBe(200)
    expect((await errorOf(await pay(gateway))).code).toBe('pool_exhausted')
    expect(new Set(seller.paid.map(({ nonce }) => nonce)).size).toBe(2)
  })

  test('counts in the nine series of x402-buyer and in its own', async () => {
    const { seller, open } = await buyer(await signAuths(4, { payTo }))
    const gateway = await open()
    seller.onPaid = (response, count) => {
      if (count === 1) response.destroy()
      else answer(response, count === 2)
    }
    for (let n = 0; n < 3; n += 1) await (await pay(gateway)).text()
    const labels = { upstream: 'remote-qwen', remote_model: 'qwen3.5:9b', chain: 'base-sepolia' }
    const read = (name: string): Promise<number> => gateway.metric(`obol_x402_buyer_${name}`, labels)
    const series = {
      requests_total: 3,
      payment_attempts_total: 3,
      payment_success_total: 2,
      payment_failure_total: 1,
      confirm_spend_failure_total: 0,
      payment_unsettled_confirmations_total: 1,
      auth_remaining: 1,
      auth_spent: 3,
      active_model_mappings: 1,
    }
    const seen = await Promise.all(Object.keys(series).map(async (name) => [name, await read(name)]))
    expect(Object.fromEntries(seen)).toEqual(series)
    const vouchers = (state: string): Promise<number> =>
      gateway.metric('tollway_vouchers', { payer: 'obol', seller: new URL(seller.url).origin, state })
    expect(await Promise.all(['ready', 'spent', 'uncertain'].map(vouchers))).toEqual([1, 2, 1])
    expect(await gateway.metric('tollway_voucher_exposure_usd')).toBe(0.001)
  })

  test('a crash between claim and send gives the voucher back, one after it was recorded quarantines it', async () => {
    const { seller, open } = await buyer(await signAuths(3, { payTo }))
    const gateway = await open()
    const { store } = gateway.gateway.parts.ledger
    const [pool] = await store.vouchers.pools({ at: Date.now() })
    if (!pool) throw new Error('no pool')
    const terms = {
      instance: 'ins_dead',
      requestId: 'r',
      caller: 'c',
      model: 'm',
      route: 'paid/qwen3.5:9b',
      payer: 'obol',
      seller: new URL(seller.url).origin,
      apiBase: `${seller.url}/v1`,
      network: pool.pool.network,
      asset: pool.pool.asset,
      symbol: 'USDC',
      decimals: 6,
      payTo: pool.pool.payTo,
      amount: 1000n,
      microUsd: 1000n,
      reservedAt: Date.now(),
      leaseUntil: Date.now() + 30_000,
    }
    await store.register({
      id: 'ins_dead',
      host: 'h',
      pid: 1,
      processStart: '',
      startedAt: 1,
      heartbeatAt: 1,
    })
    for (const id of ['chg_a', 'chg_b']) {
      await store.reserve({ ...terms, id }, [], false)
      const claim = await store.vouchers.claim({ charge: id, method: 'eip3009', at: Date.now() })
      if (!claim.ok) throw new Error('no voucher')
      if (id === 'chg_b') await store.authorize(id, claim.voucher, Date.now())
    }
    expect(await status(gateway)).toMatchObject({ 'remote-qwen': { remaining: 1, held: 2 } })
    await store.retire('ins_dead', Date.now(), 'instance_dead')
    expect(await status(gateway)).toMatchObject({ 'remote-qwen': { remaining: 2, held: 0, quarantined: 1 } })
    expect((await pay(gateway)).status).toBe(200)
    expect((await pay(gateway)).status).toBe(200)
    expect((await errorOf(await pay(gateway))).code).toBe('pool_exhausted')
  })
})
