import { getCompiledTransactionMessageDecoder } from '@solana/kit'
import type { PaymentRequirements } from '@x402/core/types'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { addressOf } from '../../src/core/solana/address.ts'
import { encodeBase58 } from '../../src/core/solana/base58.ts'
import { decodeMessage } from '../../src/core/solana/decode-message.ts'
import { encodeMessage, type Instruction } from '../../src/core/solana/message.ts'
import {
  DEFAULT_UNIT_LIMIT,
  DEFAULT_UNIT_PRICE,
  paymentAccounts,
  paymentMessage,
  type SolanaPayment,
} from '../../src/core/solana/payment.ts'
import {
  COMPUTE_BUDGET_PROGRAM,
  MEMO_PROGRAM,
  TOKEN_2022_PROGRAM,
  TOKEN_PROGRAM,
} from '../../src/core/solana/programs.ts'
import { decodeTransaction, encodeTransaction } from '../../src/core/solana/transaction.ts'
import { createWallet, sha256, signAs } from '../kit/solana/chain.ts'
import { officialSchemes } from '../kit/solana/official.ts'
import { DEVNET, DEVNET_USDC, startSolanaWorld, type SolanaWorld } from '../kit/solana/world.ts'

let world: SolanaWorld
beforeAll(async () => {
  world = await startSolanaWorld()
})
afterAll(() => world.close())

function build(payment: SolanaPayment): Uint8Array {
  return paymentMessage(payment, paymentAccounts(payment, sha256))
}

const key = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(addressOf)

function paymentTo(extra: Partial<SolanaPayment> = {}): SolanaPayment {
  return {
    kind: 'solana_exact',
    owner: world.buyer.address,
    feePayer: world.feePayer.address,
    payTo: world.seller.address,
    mint: DEVNET_USDC,
    tokenProgram: TOKEN_PROGRAM,
    amount: '1000',
    decimals: 6,
    memo: 'order-42',
    blockhash: world.chain.latestBlockhash,
    unitLimit: DEFAULT_UNIT_LIMIT,
    unitPrice: DEFAULT_UNIT_PRICE,
    ...extra,
  }
}

describe('the bytes of a payment', () => {
  test.each([
    ['SPL Token', TOKEN_PROGRAM],
    ['Token-2022', TOKEN_2022_PROGRAM],
  ] as const)('are those of the official client, versions 1 and 2: %s', async (_name, tokenProgram) => {
    const mint = createWallet().address
    world.chain.putMint(mint, { tokenProgram })
    for (let round = 0; round < 20; round += 1) {
      const [seller, payer, feePayer] = [createWallet(), createWallet(), createWallet()]
      const amount = String(BigInt(round) ** 12n + 1n)
      const memo = `order ${round} \u00fc`
      const requirements = {
        scheme: 'exact',
        network: DEVNET,
        amount,
        maxAmountRequired: amount,
        asset: mint,
        payTo: seller.address,
        maxTimeoutSeconds: 60,
        extra: { feePayer: feePayer.address, memo },
      }
      const schemes = await officialSchemes(payer, world.rpc.url)
      const v1 = { ...requirements, network: 'solana-devnet' } as unknown as PaymentRequirements
      const official = [
        await schemes.v2.createPaymentPayload(2, requirements),
        await schemes.v1.createPaymentPayload(1, v1),
      ]
      const message = build({
        ...paymentTo(),
        owner: payer.address,
        feePayer: feePayer.address,
        payTo: seller.address,
        mint,
        tokenProgram,
        amount,
        memo,
      })
      const unsigned = encodeTransaction({ signatures: [new Uint8Array(64), new Uint8Array(64)], message })
      const own = Buffer.from(signAs(payer, unsigned)).toString('base64')
      for (const { payload } of official) expect(payload['transaction']).toBe(own)
    }
  })

  test('settle at the official facilitator of a chain with the real programs', async () => {
    const before = world.balances()
    const message = build(paymentTo({ amount: '2500' }))
    const unsigned = encodeTransaction({ signatures: [new Uint8Array(64), new Uint8Array(64)], message })
    const sent = world.chain.send(signAs(world.feePayer, signAs(world.buyer, unsigned)))
    expect(sent).toMatchObject({ ok: true })
    expect(world.balances()).toEqual({ buyer: before.buyer - 2500n, seller: before.seller + 2500n })
    // The same transaction again is refused by the chain.
    expect(world.chain.send(signAs(world.feePayer, signAs(world.buyer, unsigned)))).toMatchObject({
      ok: false,
    })
  })

  test('are read back to what went in, by us and by the official decoder', () => {
    fc.assert(
      fc.property(
        key,
        key,
        key,
        fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
        fc
          .string({ minLength: 1, maxLength: 60, unit: 'grapheme' })
          .filter((text) => Buffer.byteLength(text) <= 256 && text.isWellFormed()),
        fc.integer({ min: 1, max: 1_400_000 }),
        fc.integer({ min: 1, max: 5_000_000 }),
        (owner, payTo, feePayer, amount, memo, unitLimit, unitPrice) => {
          fc.pre(new Set([owner, payTo, feePayer]).size === 3)
          const payment = paymentTo({
            owner,
            payTo,
            feePayer,
            amount: amount.toString(),
            memo,
            unitLimit,
            unitPrice,
          })
          const accounts = paymentAccounts(payment, sha256)
          const message = paymentMessage(payment, accounts)
          const decoded = decodeMessage(message)
          expect(decoded).toMatchObject({
            version: 0,
            signers: 2,
            readonlySigners: 1,
            readonlyOthers: 4,
            lookupTables: 0,
          })
          expect(decoded?.accounts.slice(0, 2)).toEqual([feePayer, owner])
          expect(decoded?.blockhash).toBe(payment.blockhash)
          const [limit, price, transfer, note] = decoded?.instructions ?? []
          expect([limit?.program, price?.program]).toEqual([COMPUTE_BUDGET_PROGRAM, COMPUTE_BUDGET_PROGRAM])
          expect(Buffer.from(limit?.data ?? []).readUInt32LE(1)).toBe(unitLimit)
          expect(Buffer.from(price?.data ?? []).readBigUInt64LE(1)).toBe(BigInt(unitPrice))
          expect(transfer?.accounts).toEqual([accounts.source, DEVNET_USDC, accounts.destination, owner])
          expect(Buffer.from(transfer?.data ?? []).readBigUInt64LE(1)).toBe(amount)
          expect([note?.program, Buffer.from(note?.data ?? []).toString('utf8')]).toEqual([
            MEMO_PROGRAM,
            memo,
          ])
          const official = getCompiledTransactionMessageDecoder().decode(message)
          expect(official.staticAccounts).toEqual(decoded?.accounts)
          expect('lifetimeToken' in official && official.lifetimeToken).toBe(payment.blockhash)
        },
      ),
      { numRuns: 30 },
    )
  })
})

describe('no payment is built', () => {
  test.each<[string, () => Partial<SolanaPayment>]>([
    ['whose fee payer is the payer', () => ({ feePayer: world.buyer.address })],
    ['to the payer itself', () => ({ payTo: world.buyer.address })],
    ['whose fee payer is the mint', () => ({ feePayer: DEVNET_USDC })],
    ['whose fee payer is the source', () => ({ feePayer: paymentAccounts(paymentTo(), sha256).source })],
    [
      'whose fee payer is the destination',
      () => ({ feePayer: paymentAccounts(paymentTo(), sha256).destination }),
    ],
    ['whose fee payer is the token program', () => ({ feePayer: TOKEN_PROGRAM })],
    ['whose fee payer is no address', () => ({ feePayer: 'me' })],
    ['of zero', () => ({ amount: '0' })],
    ['of nothing', () => ({ amount: '' })],
    ['in hexadecimal', () => ({ amount: '0x10' })],
    ['with a space', () => ({ amount: ' 16' })],
    ['with a sign', () => ({ amount: '-5' })],
    ['with a leading zero', () => ({ amount: '05' })],
    ['over 64 bits', () => ({ amount: (2n ** 64n).toString() })],
    ['with an empty memo', () => ({ memo: '' })],
    ['with a memo of 257 bytes', () => ({ memo: '\u00fc'.repeat(128) + 'x' })],
    ['with a price of zero', () => ({ unitPrice: 0 })],
    ['with a price above what facilitators take', () => ({ unitPrice: 5_000_001 })],
    ['with half a unit', () => ({ unitLimit: 0.5 })],
    ['with a block hash that is none', () => ({ blockhash: 'abc' })],
    ['with decimals that are no byte', () => ({ decimals: 256 })],
  ])('%s', (_name, change) => {
    expect(() => build(paymentTo(change()))).toThrow(RangeError)
  })
})

describe('messages of strangers', () => {
  test('are read or refused, and never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        decodeMessage(bytes)
        decodeTransaction(bytes)
      }),
    )
  })

  test('cut anywhere, or with a byte more, are refused', () => {
    const message = build(paymentTo())
    for (let end = 0; end < message.length; end += 1)
      expect(decodeMessage(message.slice(0, end))).toBeUndefined()
    expect(decodeMessage(Uint8Array.of(...message, 0))).toBeUndefined()
  })

  test('of the old kind have no version byte and are read, too', () => {
    const instructions: Instruction[] = [{ program: MEMO_PROGRAM, accounts: [], data: Uint8Array.of(65) }]
    const blockhash = encodeBase58(new Uint8Array(32).fill(7))
    const bytes = encodeMessage({ version: 'legacy', feePayer: world.buyer.address, blockhash, instructions })
    expect(decodeMessage(bytes)).toMatchObject({
      version: 'legacy',
      signers: 1,
      accounts: [world.buyer.address, MEMO_PROGRAM],
    })
    const official = getCompiledTransactionMessageDecoder().decode(bytes)
    expect(official).toMatchObject({ version: 'legacy', staticAccounts: [world.buyer.address, MEMO_PROGRAM] })
  })
})
