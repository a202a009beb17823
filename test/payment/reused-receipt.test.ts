/** One transaction as the receipt of several charges: the second is not settled by it, and a person is told. */
import { describe, expect, it } from 'vitest'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'
import { ReceiptTransactions } from '../../src/io/ledger/receipt-transactions.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import type { Store } from '../../src/io/store/store.ts'
import { PaidCall } from '../../src/payment/paid-call.ts'
import { signed } from '../store/samples.ts'
import { challenge, NOW, reply, startEngine, type Engine } from '../kit/payment-engine.ts'

const HASH = `0x${'ef'.repeat(32)}`
const REQUEST = {
  method: 'POST',
  url: 'https://seller.test/v1/chat/completions',
  headers: {},
  body: Buffer.from('{"model":"m"}'),
}

/** Every answer has the same receipt. */
async function engineOn(store: Store, status: number, receipt: object, firstNonce = 1): Promise<Engine> {
  let nonce = firstNonce - 1
  return await startEngine({
    store,
    seller: () => reply(status, '{}', { 'payment-response': encodeBase64Json(receipt) }),
    payer: {
      authorize: async () => {
        nonce += 1
        const header = { name: 'payment-signature', value: `signature-${nonce}` }
        return { kind: 'authorization', header, record: signed(nonce, { validBefore: NOW / 1000 + 60 }) }
      },
    },
  })
}

async function pay(engine: Engine): Promise<unknown> {
  const call = engine.call()
  const error = await new PaidCall(call, REQUEST).run(challenge(), 0).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  return error
}

describe('a receipt that another charge has already', () => {
  it('rule 4: does not settle a second charge: an answer is assumed to be paid, as without a receipt', async () => {
    const engine = await engineOn(memoryStore(), 200, { success: true, transaction: HASH })
    await pay(engine)
    const first = engine.exchange.payment.charge
    await pay(engine)
    const second = engine.exchange.payment.charge
    expect(first).toMatchObject({ proof: 'receipt', transaction: HASH })
    expect(second).toMatchObject({ state: 'settled', proof: 'assumed', transaction: undefined })
    expect(engine.exchange.record.details).toMatchObject({
      receipt_reused: expect.stringContaining(first?.id ?? ''),
    })
    const flags = await engine.store.flags()
    expect(flags).toMatchObject([{ charge: second?.id, flag: 'receipt_reused' }])
    expect(flags[0]?.detail).toContain(HASH)
  })

  it('rule 4: leaves a failed call uncertain, though it says paid', async () => {
    const store = memoryStore()
    await pay(await engineOn(store, 200, { success: true, transaction: HASH }))
    const engine = await engineOn(
      store,
      500,
      { success: true, transaction: HASH.toUpperCase().replace('X', 'x') },
      100,
    )
    expect(await pay(engine)).toMatchObject({ code: 'seller_error' })
    expect(engine.exchange.payment.charge).toMatchObject({ state: 'uncertain', transaction: undefined })
  })

  it('is not claimed as pending a second time either', async () => {
    const store = memoryStore()
    const pending = { success: false, errorReason: 'settlement_pending', transaction: HASH }
    await pay(await engineOn(store, 402, pending))
    const engine = await engineOn(store, 402, pending, 100)
    expect(await pay(engine)).toMatchObject({ code: 'payment_rejected' })
    expect(engine.exchange.payment.charge).toMatchObject({ state: 'uncertain', reason: 'http_402' })
    expect(await store.flagCounts()).toEqual([{ flag: 'receipt_reused', count: 1 }])
  })
})

describe('answers that arrive together', () => {
  const charge = (id: string, network = 'eip155:1') => ({ id, network })

  it('are told apart before the store has either', async () => {
    const receipts = new ReceiptTransactions({ withTransaction: async () => [] })
    const found = await Promise.all([receipts.usedBy(charge('a'), HASH), receipts.usedBy(charge('b'), HASH)])
    expect(found).toEqual([undefined, 'a'])
    expect(await receipts.usedBy(charge('a'), HASH)).toBeUndefined()
    expect(await receipts.usedBy(charge('c', 'eip155:8453'), HASH)).toBeUndefined()
  })

  it('are answered although the store cannot be read', async () => {
    const receipts = new ReceiptTransactions({ withTransaction: () => Promise.reject(new Error('disk')) })
    expect(await receipts.usedBy(charge('a'), HASH)).toBeUndefined()
  })
})
