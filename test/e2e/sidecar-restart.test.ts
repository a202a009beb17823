/** A running x402-buyer that offers a payment which the ledger knows already. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { privateKeyToAccount } from 'viem/accounts'
import { afterEach, expect, test } from 'vitest'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { voucherId } from '../../src/core/vouchers/voucher.ts'
import { Ledger } from '../../src/io/ledger/ledger.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import { VoucherBook } from '../../src/io/vouchers/voucher-book.ts'
import { nonceOf, startScriptedSeller } from '../kit/scripted-seller.ts'
import { freePort } from '../kit/free-port.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { signVoucher, startBuyerEmulator } from '../kit/x402-buyer.ts'
import { FragileAudit } from '../ledger/kit.ts'
import { instance } from '../store/samples.ts'
import { LIMITS } from '../store/voucher-samples.ts'

const account = privateKeyToAccount(localAccounts().buyer.privateKey)
const cleanup: (() => unknown)[] = []
afterEach(async () => {
  for (const end of cleanup.splice(0).toReversed()) await end()
})

/** A seller, an x402-buyer that holds two authorizations, and gateways that pay through it on one ledger. */
async function world() {
  const port = await freePort()
  const seller = await startScriptedSeller()
  cleanup.push(() => seller.close())
  const upstream = {
    url: `http://127.0.0.1:${port}`,
    remoteModel: 'q',
    network: 'eip155:84532',
    payTo: '0x90F79bf6EB2c4f870365E785982E1f101E93b906',
    asset: '0x036cbd53842c5426634e7929541ec2318f3dcf7e',
    price: '1000',
  }
  const domain = { name: 'USDC', version: '2', chainId: 84_532 }
  const file = [await signVoucher(account, upstream, domain), await signVoucher(account, upstream, domain)]
  const buyer = await startBuyerEmulator(upstream, file)
  cleanup.push(() => buyer.close())
  const directory = mkdtempSync(join(tmpdir(), 'tollway-sidecar-'))
  cleanup.push(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'tollway.db')
  const start = async (): Promise<TestGateway> => {
    const gateway = await startGateway({
      store: `sqlite:${path}`,
      budgets: [{ name: 'all', limit_usd: '0.003', window: 'lifetime' }],
      payers: {
        obol: {
          kind: 'obol',
          mode: 'sidecar',
          url: buyer.url,
          remote_model: 'q',
          shim: `127.0.0.1:${port}`,
          networks: ['base-sepolia'],
        },
      },
      model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'obol' }],
    })
    cleanup.push(() => gateway.close())
    return gateway
  }
  return { seller, upstream, file, buyer, path, start }
}

test('a used payment is never sent again: the buyer lets go of it, and the next one pays the same request', async () => {
  const { seller, buyer, start } = await world()
  const first = await start()
  expect((await ask(first.url, { model: 'paid/q', seed: 1 })).status).toBe(200)
  await first.close()
  // The buyer died too, before it wrote what was used.
  buyer.consumed.clear()
  buyer.reload()

  const second = await start()
  expect((await ask(second.url, { model: 'paid/q', seed: 2 })).status).toBe(200)
  expect(new Set(seller.payments.map(nonceOf)).size).toBe(2)
  expect(seller.payments).toHaveLength(2)
  expect(buyer.consumed.size).toBe(2)
  const refused = await ask(second.url, { model: 'paid/q', seed: 3 })
  expect(await errorOf(refused)).toMatchObject({ code: 'pool_exhausted' })
  expect(refused.headers.get('x-tollway-spent')).toBe('no')
})

test('vouchers that were handed over from the same ledger pay, and each counts once', async () => {
  const { seller, upstream, file, buyer, path, start } = await world()
  // As `tollway buy --emit obol` does it: stored, then recorded as in other hands.
  const store = openSqliteStore({ path })
  const { network, asset, remoteModel } = upstream
  const terms = {
    payer: 'base',
    seller: seller.apiBase.replace('/v1', ''),
    network,
    asset,
    amount: 1000n,
    payTo: upstream.payTo.toLowerCase(),
    method: 'eip3009' as const,
  }
  const token = { symbol: 'USDC', decimals: 6 }
  const pool = { ...terms, ...token, name: 'q', remoteModel, refill: undefined, drainingSince: undefined }
  const clock = { now: () => Date.now() }
  const own = instance('ins_cli', { host: 'elsewhere', heartbeatAt: Date.now() })
  const ledger = await Ledger.open({
    store,
    audit: new FragileAudit(),
    clock,
    random: randomBytes,
    instance: own,
    observers: [],
  })
  const book = new VoucherBook({ ledger, clock, limits: LIMITS })
  await book.define(pool)
  const vouchers = file.map(({ from, nonce, validBefore }) => {
    const signed = { from: from.toLowerCase(), nonce: nonce.toLowerCase(), key: nonce, payment: '{}' }
    const voucher = { ...terms, ...signed, pool: 'q', validAfter: 0, validBefore: Number(validBefore) }
    return { ...voucher, id: voucherId(voucher), microUsd: 1000n }
  })
  await book.add(pool, vouchers, true)
  expect((await book.export(pool, 2, [LIFETIME], 'req')).vouchers).toHaveLength(2)
  await ledger.close()

  const gateway = await start()
  for (const seed of [1, 2]) expect((await ask(gateway.url, { model: 'paid/q', seed })).status).toBe(200)
  expect(new Set(seller.payments.map(nonceOf)).size).toBe(2)
  expect(buyer.consumed.size).toBe(2)
  // Two were handed over, two were sent: it is two that count.
  expect(await gateway.metric('tollway_budget_spent_usd', { budget: 'all' })).toBe(0.002)
  expect(await gateway.metric('tollway_budget_remaining_usd', { budget: 'all' })).toBe(0.001)
  const released = (await gateway.audit()).filter(({ type }) => type === 'charge.released')
  expect(released.map(({ reason }) => reason)).toEqual(['taken_over', 'taken_over'])
})

const LIFETIME = { name: 'all', limit: 3000n, window: 'lifetime', timezone: 'UTC' } as const
