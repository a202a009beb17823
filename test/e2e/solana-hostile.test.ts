import { randomUUID } from 'node:crypto'
import { createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodeBase58 } from '../../src/core/solana/base58.ts'
import { TOKEN_2022_PROGRAM, TOKEN_PROGRAM } from '../../src/core/solana/programs.ts'
import { deriveTokenAccount } from '../../src/core/solana/token-account.ts'
import { ask, errorOf, startGateway, walletPayer, type TestGateway } from '../kit/gateway.ts'
import { startScriptedSeller, type ScriptedSeller, type SellerHandler } from '../kit/scripted-seller.ts'
import { challengeV1, challengeV2, completion, json, OFFER } from '../kit/seller-answers.ts'
import { createWallet, sha256 } from '../kit/solana/chain.ts'
import { DEVNET, DEVNET_USDC, startSolanaWorld, type SolanaWorld } from '../kit/solana/world.ts'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'

let world: SolanaWorld
let seller: ScriptedSeller
let gateway: TestGateway
beforeAll(async () => {
  world = await startSolanaWorld()
  seller = await startScriptedSeller()
  gateway = await startGateway({
    payers: { sol: { ...key(), networks: ['solana-devnet'] } },
    chains: { 'solana-devnet': { rpc: world.rpc.url } },
    model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'sol' }],
    budgets: [{ name: 'all', limit_usd: '1.00', window: 'lifetime' }],
  })
})
afterAll(async () => {
  await gateway.close()
  await seller.close()
  await world.close()
})

function key(): object {
  const name = `TEST_SOLANA_${randomUUID().replaceAll('-', '').toUpperCase()}`
  process.env[name] = encodeBase58(world.buyer.secret)
  return { kind: 'solana', key: `\${env:${name}}` }
}

const offer = (change: object = {}): object => ({
  scheme: 'exact',
  network: DEVNET,
  amount: '1000',
  asset: DEVNET_USDC,
  payTo: world.seller.address,
  maxTimeoutSeconds: 60,
  extra: { feePayer: world.feePayer.address },
  ...change,
})
const extra = (change: object): object => ({ extra: { feePayer: world.feePayer.address, ...change } })
const account = (owner: string): string => deriveTokenAccount(owner, DEVNET_USDC, TOKEN_PROGRAM, sha256)

describe('rule 6: nothing is signed for an offer on Solana with', () => {
  test.each<[string, () => object]>([
    ['an amount in hexadecimal', () => ({ amount: '0x10' })],
    ['an amount with spaces', () => ({ amount: ' 16 ' })],
    ['an empty amount', () => ({ amount: '' })],
    ['an amount of zero', () => ({ amount: '0' })],
    ['an amount over 64 bits', () => ({ amount: (2n ** 64n).toString() })],
    ['us as the fee payer', () => ({ extra: { feePayer: world.buyer.address } })],
    ['no fee payer', () => ({ extra: {} })],
    ['our token account as the fee payer', () => ({ extra: { feePayer: account(world.buyer.address) } })],
    [
      "the seller's token account as the fee payer",
      () => ({ extra: { feePayer: account(world.seller.address) } }),
    ],
    ['the mint as the fee payer', () => ({ extra: { feePayer: DEVNET_USDC } })],
    ['us as the payee', () => ({ payTo: world.buyer.address })],
    ['a token account as the payee', () => ({ payTo: account(world.seller.address) })],
    ['a payee without a token account', () => ({ payTo: createWallet().address })],
    ['a look-alike mint', () => ({ asset: createWallet().address })],
    ['another network', () => ({ network: 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp' })],
    ['another token program', () => extra({ tokenProgram: TOKEN_2022_PROGRAM })],
    ['a memo of 257 bytes', () => extra({ memo: 'x'.repeat(257) })],
    ['a memo with control characters', () => extra({ memo: 'a\u0000b' })],
    ['upto', () => ({ scheme: 'upto' })],
    ['escrow', () => extra({ paymentFlow: 'escrow' })],
    ['more than the wallet has', () => ({ amount: '100000001' })],
  ])('%s', async (_name, change) => {
    seller.requests.length = 0
    const hostile = offer(change()) as { readonly amount: unknown; readonly network: string }
    const { amount: maxAmountRequired } = hostile
    const network = hostile.network === DEVNET ? 'solana-devnet' : 'solana'
    for (const unpaid of [
      challengeV2([hostile]),
      challengeV1([{ ...hostile, network, maxAmountRequired }]),
    ]) {
      seller.follow({ unpaid })
      const response = await ask(gateway.url, { model: 'paid/sandbox-small' })
      expect(response.status).toBeGreaterThanOrEqual(400)
      expect(response.status).toBeLessThan(500)
      expect(response.headers.get('x-tollway-spent')).toBe('no')
    }
    expect(seller.payments).toEqual([])
    const charges = await gateway.gateway.parts.ledger.store.charges({ limit: 1000 })
    expect(charges.filter(({ authorization }) => authorization !== undefined)).toEqual([])
    expect(world.chain.landed).toEqual([])
  })
})

test('a recent block hash of the seller is never signed, and the payment is valid by ours', async () => {
  const hint = createWallet().address
  seller.requests.length = 0
  seller.follow({
    unpaid: challengeV2([offer(extra({ recentBlockhash: hint, lastValidBlockHeight: '1' }))]),
    paid: completion({}, { success: true, transaction: '', network: DEVNET, payer: world.buyer.address }),
  })
  expect((await ask(gateway.url, { model: 'paid/sandbox-small' })).status).toBe(200)
  const [charge] = await gateway.gateway.parts.ledger.store.charges({ limit: 1 })
  expect(charge?.authorization?.solana?.blockhash).not.toBe(hint)
  expect(world.chain.isValid(charge?.authorization?.solana?.blockhash ?? '')).toBe(true)
})

describe('rule 4: on Solana, what is said after sending proves nothing unspent:', () => {
  const cut: SellerHandler = (_request, response) => void response.destroy()
  test.each<[string, SellerHandler | ReturnType<typeof json>, string, number]>([
    ['a cut connection', cut, 'uncertain', 400],
    ['a redirect', json({}, { location: 'http://127.0.0.1:9/' }, 302), 'uncertain', 400],
    ['another 402', json({ error: 'refused' }, {}, 402), 'uncertain', 400],
    ['a 412', json({ error: 'CHANNEL_REQUIRED' }, {}, 412), 'uncertain', 400],
    ['a 500', json({ error: 'oops' }, {}, 500), 'uncertain', 400],
    ['a 200 without a receipt', completion({}, { success: false }), 'settled', 200],
  ])('%s', async (_name, paid, state, status) => {
    seller.requests.length = 0
    seller.follow({ unpaid: challengeV2([offer()]), paid })
    const response = await ask(gateway.url, { model: 'paid/sandbox-small', user: randomUUID() })
    expect(response.status).toBe(status)
    expect(seller.payments).toHaveLength(1)
    const [charge] = await gateway.gateway.parts.ledger.store.charges({ limit: 1 })
    expect(charge).toMatchObject({ state })
    await gateway.gateway.parts.reconciler.run({ all: true })
    expect(await gateway.gateway.parts.ledger.store.charges({ limit: 1 })).toMatchObject([{ state }])
  })

  test('and a seller that cannot be reached was sent nothing', async () => {
    // A port that nobody listens on any more.
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    await new Promise((resolve) => server.close(resolve))
    const other = await startGateway({
      payers: { sol: { ...key(), networks: ['solana-devnet'] } },
      chains: { 'solana-devnet': { rpc: world.rpc.url } },
      model_list: [
        { model_name: 'paid/*', model: '*', api_base: `http://127.0.0.1:${port}/v1`, payer: 'sol' },
      ],
    })
    const response = await ask(other.url, { model: 'paid/sandbox-small' })
    expect(response.status).toBe(503)
    expect((await errorOf(response)).code).toBe('seller_unavailable')
    expect(await other.gateway.parts.ledger.store.charges()).toEqual([])
    await other.close()
  })
})

describe('offers on both kinds of chain in one 402', () => {
  let evm: World
  beforeAll(async () => {
    evm = await startWorld()
  })
  afterAll(() => evm.close())

  test.each([
    ['the cheaper is paid by a payer on Solana', '1001', 'solana'],
    ['the one its payer can pay is paid on Base Sepolia', '1001', 'base'],
  ])('%s', async (_name, amount, payer) => {
    seller.requests.length = 0
    seller.follow({ unpaid: challengeV2([{ ...OFFER, amount }, offer()]) })
    const both = await startGateway({
      payers: { solana: { ...key(), networks: ['solana-devnet'] }, base: walletPayer(evm.chain) },
      chains: { 'solana-devnet': { rpc: world.rpc.url } },
      model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer }],
    })
    expect((await ask(both.url, { model: 'paid/sandbox-small' })).status).toBe(200)
    const [charge] = await both.gateway.parts.ledger.store.charges()
    expect(charge).toMatchObject(
      payer === 'solana' ? { network: DEVNET, amount: 1000n } : { network: OFFER.network, amount: 1001n },
    )
    await both.close()
  })
})
