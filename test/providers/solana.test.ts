import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { solana, type SolanaOptions } from '../../providers/solana/solana.ts'
import type { AuthorizationRecord } from '../../src/core/charge/charge.ts'
import type { Provider } from '../../src/core/payer/provider.ts'
import { encodeBase58 } from '../../src/core/solana/base58.ts'
import { decodeMessage } from '../../src/core/solana/decode-message.ts'
import { decodeTransaction } from '../../src/core/solana/transaction.ts'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'
import { createWallet, sha256 } from '../kit/solana/chain.ts'
import { deriveTokenAccount } from '../../src/core/solana/token-account.ts'
import { TOKEN_PROGRAM } from '../../src/core/solana/programs.ts'
import { solanaFeePayer, solanaPayee, solanaQuote } from '../kit/solana/quotes.ts'
import { RpcFault } from '../kit/solana/rpc.ts'
import { DEVNET, DEVNET_USDC, startSolanaWorld, type SolanaWorld } from '../kit/solana/world.ts'
import { describeProvider } from './conformance.ts'

const never = new AbortController().signal

let world: SolanaWorld
let folder: string
const open: Provider[] = []
beforeAll(async () => {
  world = await startSolanaWorld()
  world.chain.putTokens(DEVNET_USDC, solanaPayee, 0n)
  folder = await mkdtemp(join(tmpdir(), 'tollway-solana-payer-'))
  await writeFile(join(folder, 'key.json'), JSON.stringify([...world.buyer.secret]), { mode: 0o600 })
})
beforeEach(() => world.rpc.lies.clear())
afterEach(async () => {
  for (const payer of open.splice(0)) await payer.close()
})
afterAll(async () => {
  await world.close()
  await rm(folder, { recursive: true, force: true })
})

async function start(change: Partial<SolanaOptions> = {}): Promise<Provider> {
  const payer = await solana({
    key: { source: 'file', path: join(folder, 'key.json') },
    networks: ['solana-devnet'],
    nodes: { 'solana-devnet': world.rpc.url },
    ...change,
  })
  open.push(payer)
  return payer
}

function sent(header: string): {
  transaction: Buffer
  signatures: readonly Uint8Array[]
  message: Uint8Array
} {
  const { payload } = JSON.parse(header) as { payload: { transaction: string } }
  const transaction = Buffer.from(payload.transaction, 'base64')
  const parts = decodeTransaction(transaction)
  if (!parts) throw new Error('it is no transaction')
  return { transaction, ...parts }
}

function carries(header: string, { nonce, solana: proof }: AuthorizationRecord): boolean {
  const { signatures, message } = sent(header)
  const [first, own] = signatures
  return (
    nonce === `0x${createHash('sha256').update(message).digest('hex')}` &&
    first !== undefined &&
    first.every((byte) => byte === 0) &&
    own !== undefined &&
    encodeBase58(own) === proof?.signature &&
    decodeMessage(message)?.blockhash === proof?.blockhash
  )
}

describeProvider('solana', () => start().then((payer) => (open.pop(), payer)), {
  chain: {
    network: DEVNET,
    quote: solanaQuote,
    address: /^[1-9A-HJ-NP-Za-km-z]{32,44}$/,
    carries,
    longest: 180,
  },
})

describe('rule 5: no two charges sign the same bytes', () => {
  test('whatever the seller asks for, also with a memo of its own', async () => {
    const payers = [await start(), await start()]
    const seen = new Set<string>()
    let made = 0
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(undefined, 'order-42', 'x'.repeat(256)),
        fc.constantFrom('1', '1000', '99999'),
        fc.integer({ min: 1, max: 8 }),
        fc.constantFrom(...payers),
        async (memo, amount, times, payer) => {
          const extra = { feePayer: solanaFeePayer, ...(memo === undefined ? {} : { memo }) }
          const quote = solanaQuote(2, { amount, extra })
          const all = Array.from({ length: times }, () => payer.authorize(quote, 'chg_1', never))
          for (const { record, header } of await Promise.all(all)) {
            made += 1
            seen.add(record.nonce)
            seen.add(sent(Buffer.from(header.value, 'base64').toString()).transaction.toString('base64'))
          }
        },
      ),
      { numRuns: 40 },
    )
    expect(seen.size).toBe(2 * made)
  })

  test('a source of randomness that repeats itself still gives different bytes for one memo', async () => {
    const payer = await start({ random: (count) => new Uint8Array(count).fill(7) })
    const quote = solanaQuote(2, { extra: { feePayer: solanaFeePayer, memo: 'order' } })
    const all = await Promise.all(Array.from({ length: 30 }, () => payer.authorize(quote, 'chg_1', never)))
    expect(new Set(all.map(({ record }) => record.nonce)).size).toBe(30)
  })
})

describe('the block hash', () => {
  test('is our own, whatever the seller suggests, and kept off the way of payments', async () => {
    const payer = await start()
    const hint = createWallet().address
    const extra = { feePayer: solanaFeePayer, recentBlockhash: hint, lastValidBlockHeight: '1' }
    await payer.authorize(solanaQuote(), 'chg_0', never)
    const before = world.rpc.calls.filter(({ method }) => method === 'getLatestBlockhash').length
    const { record } = await payer.authorize(solanaQuote(2, { extra }), 'chg_1', never)
    expect(record.solana).toMatchObject({
      blockhash: world.chain.latestBlockhash,
      lastValidHeight: world.chain.height + 150,
      slot: world.chain.height,
    })
    for (let more = 0; more < 20; more += 1) await payer.authorize(solanaQuote(), `chg_${more}`, never)
    expect(world.rpc.calls.filter(({ method }) => method === 'getLatestBlockhash').length).toBe(before)
  })

  test('that no node gives, or a node of another chain, lets nothing be signed', async () => {
    world.rpc.lies.set('getGenesisHash', () => createWallet().address)
    const foreign = await start()
    await expect(foreign.authorize(solanaQuote(), 'chg_1', never)).rejects.toMatchObject({
      code: 'signer_unavailable',
      details: { reason: 'wrong_chain_id' },
    })
    world.rpc.lies.clear()
    world.rpc.lies.set('getLatestBlockhash', () => {
      throw new RpcFault(-32_005, 'Node is behind by 42 slots')
    })
    const behind = await start()
    await expect(behind.authorize(solanaQuote(), 'chg_1', never)).rejects.toMatchObject({
      code: 'signer_unavailable',
    })
  })
})

describe('before anything is reserved', () => {
  test('a wallet with too little is noticed', async () => {
    const payer = await start()
    const quote = solanaQuote(2, { amount: '100000001' }, { maxMicroUsd: undefined })
    await expect(payer.ready?.(quote, never)).rejects.toMatchObject({ code: 'insufficient_funds' })
    await expect(payer.ready?.(solanaQuote(), never)).resolves.toBeUndefined()
  })

  test('a payee without a token account is noticed, as one that is a token account itself', async () => {
    const payer = await start()
    const account = deriveTokenAccount(solanaPayee, DEVNET_USDC, TOKEN_PROGRAM, sha256)
    for (const payTo of [createWallet().address, account]) {
      const quote = solanaQuote(2, { payTo })
      await expect(payer.ready?.(quote, never)).rejects.toMatchObject({ code: 'no_supported_offer' })
    }
  })

  test.each(['source', 'destination'] as const)(
    'a fee payer that is the %s of the transfer',
    async (which) => {
      const payer = await start()
      const owner = which === 'source' ? world.buyer.address : solanaPayee
      const feePayer = deriveTokenAccount(owner, DEVNET_USDC, TOKEN_PROGRAM, sha256)
      const quote = solanaQuote(2, { extra: { feePayer } })
      await expect(payer.ready?.(quote, never)).rejects.toMatchObject({ code: 'fee_payer_not_allowed' })
      await expect(payer.authorize(quote, 'chg_1', never)).rejects.toMatchObject({
        code: 'fee_payer_not_allowed',
      })
    },
  )

  test('a silent node refuses nothing', async () => {
    const payer = await start()
    await payer.authorize(solanaQuote(), 'chg_1', never)
    world.rpc.lies.set('getAccountInfo', () => {
      throw new RpcFault(-32_603, 'down')
    })
    await expect(payer.ready?.(solanaQuote(), never)).resolves.toBeUndefined()
  })
})

describe('options', () => {
  test.each<[string, Partial<SolanaOptions>, RegExp]>([
    ['an EVM network', { networks: ['base'] }, /unknown network|Solana network/],
    ['a network without a node', { nodes: {} }, /name a node of solana:/],
    ['no network', { networks: [] }, /at least one network/],
    ['an unknown option', { network: 'solana' } as Partial<SolanaOptions>, /network/],
  ])('%s is refused when the payer starts', async (_name, change, message) => {
    await expect(start(change)).rejects.toThrow(message)
  })
})

test('version 1 is paid as its sellers read it', async () => {
  const payer = await start()
  const { header } = await payer.authorize(solanaQuote(1), 'chg_1', never)
  expect(header.name).toBe('x-payment')
  const message = JSON.parse(Buffer.from(header.value, 'base64').toString()) as Record<string, unknown>
  expect(message).toMatchObject({ x402Version: 1, scheme: 'exact', network: 'solana-devnet' })
  expect(encodeBase64Json(message)).toBe(header.value)
})
