/** One paid call at a scripted seller: what is reserved, recorded, sent and booked, in which order. */
import { Readable } from 'node:stream'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TollwayError } from '../../src/core/errors.ts'
import type { TollwayEvent } from '../../src/core/telemetry/events.ts'
import { UpstreamError } from '../../src/io/transport/upstream-error.ts'
import { PaidCall } from '../../src/payment/paid-call.ts'
import { ClientLeftError } from '../../src/payment/payment-context.ts'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'
import { offerV1, offerV2 } from '../kit/quotes.ts'
import { signed } from '../store/samples.ts'
import { challenge, NOW, receiptOf, reply, startEngine, type Engine } from '../kit/payment-engine.ts'

const REQUEST = {
  method: 'POST',
  url: 'https://seller.test/v1/chat/completions',
  headers: {},
  body: Buffer.from('{"model":"m"}'),
}

/** Pays the 402 that the seller answered with. @returns what it failed with */
async function pay(engine: Engine): Promise<unknown> {
  return await new PaidCall(engine.call(), REQUEST).run(challenge(), 0).then(
    () => undefined,
    (error: unknown) => error,
  )
}

const HASH = `0x${'cd'.repeat(32)}`

const BUDGET = { name: 'day', limit: 500n, window: 'day', timezone: 'UTC' } as const

describe('a paid call', () => {
  it('rule 3: is recorded as authorized, with its nonce, before the signed request is sent', async () => {
    let recorded: string | undefined
    const engine = await startEngine({
      seller: () => {
        recorded = engine.exchange.payment.charge?.state
        return reply(200)
      },
    })
    expect(await pay(engine)).toBeUndefined()
    expect(recorded).toBe('authorized')
    expect(engine.paid()).toHaveLength(1)
  })

  it('rule 3: sends nothing when the record cannot be written, and releases the hold', async () => {
    const engine = await startEngine({ seller: () => reply(200) })
    engine.store.authorize = () =>
      Promise.reject(new TollwayError({ code: 'store_unavailable', message: 'disk full' }))
    expect(await pay(engine)).toMatchObject({ code: 'store_unavailable' })
    expect(engine.sent).toEqual([])
    expect(engine.exchange.payment.charge?.state).not.toBe('authorized')
  })

  it('rule 2: is refused before anything is signed when it does not fit a budget', async () => {
    let signatures = 0
    const engine = await startEngine({
      seller: () => reply(200),
      budgets: [BUDGET],
      payer: {
        authorize: async () => {
          signatures += 1
          throw new Error('nothing may be signed')
        },
      },
    })
    expect(await pay(engine)).toMatchObject({ code: 'budget_exhausted' })
    expect([signatures, engine.sent.length]).toEqual([0, 0])
  })

  it('rule 6: sends nothing when the pool would pay the seller from its own address', async () => {
    const engine = await startEngine({ seller: () => reply(200) })
    const authorize = engine.payer.authorize.bind(engine.payer)
    engine.payer.authorize = async (...args) => {
      const signature = await authorize(...args)
      return { ...signature, record: { ...signature.record, from: offerV2.payTo.toLowerCase() } }
    }
    expect(await pay(engine)).toMatchObject({ code: 'payee_not_allowed' })
    expect([engine.sent, engine.exchange.payment.charge?.state]).toEqual([[], 'released'])
  })

  it.each([
    [200, true, 'settled', undefined],
    [200, false, 'settled', undefined],
    [500, true, 'settled', 'paid_not_delivered'],
    [404, true, 'settled', 'paid_not_delivered'],
    [500, false, 'uncertain', 'seller_error'],
    [402, false, 'uncertain', 'payment_rejected'],
    [302, false, 'uncertain', 'seller_error'],
  ])(
    'rule 4: status %i with a receipt of success %s is booked as %s',
    async (status, success, state, code) => {
      const engine = await startEngine({ seller: () => reply(status, '{}', receiptOf(success)) })
      const error = await pay(engine)
      expect(error instanceof TollwayError ? error.code : undefined).toBe(code)
      expect(engine.exchange.payment.charge?.state).toBe(state)
      expect(engine.closed).toEqual([state])
    },
  )

  it.each([
    [{ amount: '2000' }, 'amount 1000 -> 2000'],
    [{ amount: '999' }, 'amount 1000 -> 999'],
    [{ payTo: `0x${'CC'.repeat(20)}` }, `payTo ${offerV2.payTo.toLowerCase()} -> 0x${'cc'.repeat(20)}`],
    [{ network: 'eip155:8453' }, 'network eip155:84532 -> eip155:8453'],
    [{ amount: 'all of <it>' }, 'amount 1000 -> (unreadable)'],
  ])('names the term that the seller changed after the payment: %j', async (change, told) => {
    const engine = await startEngine({ seller: () => challenge({ ...offerV2, ...change }) })
    const error = await pay(engine)
    expect(error).toMatchObject({ code: 'terms_changed' })
    expect(error instanceof Error ? error.message : '').toContain(`other terms (${told})`)
    expect(error instanceof Error ? error.message : '').toContain('The request may be sent again')
    expect(engine.exchange.payment.charge).toMatchObject({ state: 'uncertain', reason: 'terms_changed' })
  })

  it.each<[number, object, string, string]>([
    [
      500,
      { error: 'gpu lost', paymentResponse: { success: true, transaction: HASH } },
      'settled',
      'paid_not_delivered',
    ],
    [404, { success: true, transaction: HASH }, 'settled', 'paid_not_delivered'],
    [402, { receipt: { success: false, transaction: HASH } }, 'uncertain', 'payment_rejected'],
    [
      502,
      { settlement: { success: false, errorReason: 'settlement_pending', transaction: HASH } },
      'uncertain',
      'payment_uncertain',
    ],
    [500, { success: true }, 'uncertain', 'seller_error'],
  ])(
    'rule 4: reads the receipt in the body of a %i without one in its headers: %j',
    async (status, body, state, code) => {
      const packed = gzipSync(JSON.stringify(body))
      const engine = await startEngine({
        seller: () => ({
          ...reply(status),
          headers: { 'content-encoding': 'gzip' },
          body: Readable.from([packed]),
        }),
      })
      expect(await pay(engine)).toMatchObject({ code })
      const { charge } = engine.exchange.payment
      expect([charge?.state, charge?.transaction]).toEqual([
        state,
        code === 'seller_error' ? undefined : HASH,
      ])
    },
  )

  it.each<[number, Record<string, string>, object, string]>([
    [404, {}, { error: { message: 'no such model here' } }, 'no such model here'],
    [500, {}, { detail: [{ msg: 'gpu lost' }] }, 'gpu lost'],
    [429, { 'payment-error': 'too busy' }, {}, 'too busy'],
    [302, {}, { title: 'moved away' }, 'moved away'],
  ])(
    "keeps the seller's reason beside a settled payment (status %i)",
    async (status, headers, body, told) => {
      const engine = await startEngine({
        seller: () => reply(status, JSON.stringify(body), { ...headers, ...receiptOf(true) }),
      })
      expect(await pay(engine)).toMatchObject({
        code: 'paid_not_delivered',
        seller: { status, message: told },
        details: { seller_message: told },
        headers: { 'x-tollway-seller-message': told },
      })
      expect(engine.exchange.payment.charge).toMatchObject({ state: 'settled', proof: 'receipt' })
    },
  )

  it.each([408, 504, 522, 524])(
    'advises what helps with a slow seller where a proxy in front of it gave up (status %i)',
    async (status) => {
      const error = await pay(await startEngine({ seller: () => reply(status, '<h1>timeout</h1>') }))
      expect(error).toMatchObject({ message: expect.stringMatching(/always_stream.*early_keepalive/) })
    },
  )

  it.each([400, 500, 503])('advises nothing about slowness for status %i', async (status) => {
    const error = await pay(await startEngine({ seller: () => reply(status) }))
    expect(error instanceof Error && error.message).not.toContain('early_keepalive')
  })

  it.each(['timeout', 'reset'] as const)(
    'advises what helps with a slow seller, not after a %s',
    async (reason) => {
      const engine = await startEngine({
        seller: () => {
          throw new UpstreamError(reason, undefined, false)
        },
      })
      const error = await pay(engine)
      expect(error).toMatchObject({ code: 'payment_uncertain' })
      const told = error instanceof Error ? error.message : ''
      for (const key of ['first_byte_seconds', 'always_stream', 'early_keepalive']) {
        expect(told.includes(key)).toBe(reason === 'timeout')
      }
    },
  )

  it('pays a 402 whose body came compressed', async () => {
    const engine = await startEngine({ seller: () => reply(200) })
    const packed = brotliCompressSync(JSON.stringify({ x402Version: 1, accepts: [offerV1] }))
    const answer = { ...reply(402), headers: { 'content-encoding': 'br' }, body: Readable.from([packed]) }
    await new PaidCall(engine.call(), REQUEST).run(answer, 0)
    expect(engine.exchange.payment.charge).toMatchObject({ state: 'settled', amount: 1000n })
  })

  it('takes the same terms again for a refusal, whatever else is on offer', async () => {
    const engine = await startEngine({ seller: () => challenge({ ...offerV2, amount: '5' }, offerV2) })
    expect(await pay(engine)).toMatchObject({ code: 'payment_rejected' })
  })

  it('rule 4: keeps the transaction of a failed receipt, for the chain to decide', async () => {
    const engine = await startEngine({ seller: () => reply(402, '{}', receiptOf(false)) })
    expect(await pay(engine)).toMatchObject({ message: expect.stringContaining('pending') })
    const transaction = `0x${'ab'.repeat(32)}`
    expect(engine.exchange.payment.charge).toMatchObject({
      state: 'uncertain',
      reason: 'settlement_pending',
      transaction,
    })
  })

  it("tells the seller's reason, its code and status in the body, with advice", async () => {
    const required = { x402Version: 2, error: 'invalid_exact_evm_insufficient_balance', accepts: [offerV2] }
    const engine = await startEngine({
      seller: () => reply(402, '{}', { 'payment-required': encodeBase64Json(required) }),
    })
    const error = await pay(engine)
    if (!(error instanceof TollwayError)) throw new Error('was not refused')
    expect(error.toBody().error).toMatchObject({
      code: 'payment_rejected',
      seller: {
        status: 402,
        code: 'invalid_exact_evm_insufficient_balance',
        message: 'invalid_exact_evm_insufficient_balance',
      },
      message: expect.stringMatching(/wallet 0x0{38}bb holds less than 0\.001 USDC on base-sepolia/),
    })
  })

  it.each<[string, () => Promise<bigint | undefined>, RegExp]>([
    [
      'empty',
      async () => await Promise.resolve(0n),
      /wallet 0x0{38}bb holds 0 USDC on base-sepolia, and 0\.001 USDC are needed\. Send it USDC/,
    ],
    [
      'too little',
      async () => await Promise.resolve(999n),
      /holds 0\.000999 USDC on base-sepolia, and 0\.001 USDC are needed/,
    ],
    [
      'enough',
      async () => await Promise.resolve(1000n),
      /holds 0\.001 USDC on base-sepolia, which is enough for 0\.001 USDC.*Report it to the seller/,
    ],
    [
      'not known',
      async () => await Promise.resolve(undefined),
      /holds less than 0\.001 USDC on base-sepolia, says the seller/,
    ],
    ['not readable', async () => await Promise.reject(new Error('node')), /holds less than 0\.001 USDC/],
  ])(
    'reads the balance again where the seller says that it is too little: %s',
    async (_name, balance, expected) => {
      for (const body of [
        '{"error":"insufficient_funds"}',
        '{"detail":"ERC20: transfer amount exceeds balance"}',
      ]) {
        const engine = await startEngine({ seller: () => reply(402, body), payer: { balance } })
        expect(await pay(engine)).toMatchObject({ message: expect.stringMatching(expected) })
      }
    },
  )

  it('asks for no balance where the seller gives another reason', async () => {
    let asked = 0
    const balance = async (): Promise<bigint> => await Promise.resolve(BigInt((asked += 1)))
    const engine = await startEngine({ seller: () => reply(402, '{"error":"expired"}'), payer: { balance } })
    await pay(engine)
    expect(asked).toBe(0)
  })

  it.each([400, 413, 422, 500])(
    'keeps the code of a prompt that is too long (status %i), and none that would mislead',
    async (status) => {
      const codeAfter = async (code: string): Promise<string | undefined> => {
        const body = JSON.stringify({ error: { message: 'no', code } })
        const error = await pay(await startEngine({ seller: () => reply(status, body) }))
        return error instanceof TollwayError ? error.toBody().error.code : undefined
      }
      expect(await codeAfter('context_length_exceeded')).toBe('context_length_exceeded')
      expect(await codeAfter('rate_limit_exceeded')).toBe('seller_error')
      expect(await codeAfter('insufficient_quota')).toBe('seller_error')
    },
  )

  it("rule 8: takes a signature out of the seller's words", async () => {
    const body = JSON.stringify({ detail: [{ msg: `bad signature 0x${'ab'.repeat(65)}` }] })
    const error = await pay(await startEngine({ seller: () => reply(400, body) }))
    expect(error instanceof TollwayError && error.seller?.message).toBe('bad signature [removed]')
  })

  it('rule 4: keeps the payment counted when no answer comes back', async () => {
    const engine = await startEngine({
      seller: () => {
        throw new UpstreamError('reset', undefined)
      },
    })
    expect(await pay(engine)).toMatchObject({ code: 'payment_uncertain', details: { reason: 'reset' } })
    expect(engine.exchange.payment.charge?.state).toBe('uncertain')
  })

  it.each([
    ['connect', undefined, 'seller_unavailable'],
    ['timeout', true, 'seller_unavailable'],
    ['reset', true, 'seller_unavailable'],
    ['aborted', true, 'seller_unavailable'],
    ['private', undefined, 'host_not_allowed'],
  ] as const)(
    'rule 4: gives the money back at once when our own socket proves that nothing left (%s)',
    async (reason, isUnsent, code) => {
      const engine = await startEngine({
        seller: () => {
          throw new UpstreamError(reason, undefined, isUnsent)
        },
        budgets: [{ ...BUDGET, limit: 1_000n }],
      })
      expect(await pay(engine)).toMatchObject({
        code,
        message: expect.stringMatching(/nothing was (?:paid|sent)/),
      })
      expect(engine.exchange.payment.charge).toMatchObject({ state: 'released', reason: `unsent_${reason}` })
      expect(engine.closed).toEqual(['released'])
      const [status] = await engine.ledger.budgets([{ ...BUDGET, limit: 1_000n }])
      expect(status?.totals).toMatchObject({ authorized: 0n, uncertain: 0n, spent: 0n })
    },
  )

  it.each(['timeout', 'reset', 'aborted', 'malformed'] as const)(
    'rule 4: keeps the payment counted after a %s that proves nothing',
    async (reason) => {
      const engine = await startEngine({
        seller: () => {
          throw new UpstreamError(reason, undefined)
        },
      })
      expect(await pay(engine)).toMatchObject({ code: 'payment_uncertain' })
      expect(engine.exchange.payment.charge?.state).toBe('uncertain')
    },
  )

  it('rule 5: sends one signed request, whatever the seller answers it with', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 200, max: 599 }),
        fc.constantFrom(undefined, true, false),
        fc.boolean(),
        async (status, success, asksAgain) => {
          const engine = await startEngine({
            seller: () => {
              const headers = success === undefined ? {} : receiptOf(success)
              const again = asksAgain ? challenge().headers : {}
              return { ...reply(status, '{}'), headers: { ...again, ...headers } }
            },
          })
          await pay(engine)
          expect(engine.paid()).toHaveLength(1)
          expect(['settled', 'uncertain']).toContain(engine.exchange.payment.charge?.state)
        },
      ),
    )
  })

  it('rule 5: never sends a nonce that was recorded before', async () => {
    const again = {
      authorize: async () => ({
        kind: 'authorization' as const,
        header: { name: 'payment-signature', value: 'the same' },
        record: signed(1, { validBefore: NOW / 1000 + 60 }),
      }),
    }
    const first = await startEngine({ seller: () => reply(200), payer: again })
    expect(await pay(first)).toBeUndefined()
    const second = await startEngine({ seller: () => reply(200), payer: again, store: first.store })
    expect(await pay(second)).toMatchObject({ code: 'signer_unavailable' })
    expect(second.sent).toEqual([])
    expect(second.exchange.payment.charge?.state).toBe('released')
    // The pool of the payer must not offer it again.
    expect(second.closed).toEqual(['uncertain'])
  })

  it('rule 5: asks a payer that keeps its own payments for the next when one was used', async () => {
    const first = await startEngine({ seller: () => reply(200) })
    expect(await pay(first)).toBeUndefined()
    const second = await startEngine({
      seller: () => reply(200),
      payer: { mayOfferUsed: true },
      store: first.store,
    })
    expect(await pay(second)).toBeUndefined()
    expect(second.paid().map(({ headers }) => headers['payment-signature'])).toEqual(['signature-2'])
    expect(second.closed).toEqual(['uncertain', 'settled'])
  })

  it('rule 5: finishes and books a payment whose client left after it was sent', async () => {
    const engine = await startEngine({
      seller: () => {
        engine.client.abort()
        return reply(200)
      },
    })
    expect(await pay(engine)).toBeUndefined()
    expect(engine.paid()[0]?.signal).toBeUndefined()
    expect(engine.exchange.payment.charge?.state).toBe('settled')
  })

  it('sends nothing and releases the hold when the client leaves while it is signed', async () => {
    const engine = await startEngine({
      seller: () => reply(200),
      payer: {
        authorize: async () => {
          engine.client.abort()
          const header = { name: 'payment-signature', value: 'late' }
          return { kind: 'authorization', header, record: signed(9) }
        },
      },
    })
    expect(await pay(engine)).toBeInstanceOf(ClientLeftError)
    expect(engine.sent).toEqual([])
    expect(engine.exchange.payment.charge?.state).toBe('released')
  })

  it('rule 8: keeps its own signature out of the answer', async () => {
    const secret = 's'.repeat(80)
    const engine = await startEngine({
      seller: () => reply(200, `{"echo":"${secret}"}`, { 'x-echo': secret }),
      payer: {
        authorize: async () => ({
          kind: 'authorization',
          header: { name: 'payment-signature', value: secret },
          record: signed(3, { validBefore: NOW / 1000 + 60 }),
        }),
      },
    })
    expect(await pay(engine)).toBeUndefined()
    const answer = engine.exchange.relay.reply
    expect(answer?.headers).not.toHaveProperty('x-echo')
    const chunks: Uint8Array[] = []
    for await (const chunk of answer?.body ?? []) chunks.push(chunk)
    expect(Buffer.concat(chunks).toString()).toBe(`{"echo":"${'*'.repeat(80)}"}`)
  })
})

describe('a budget with window: request', () => {
  const each = { name: 'each', window: 'request', timezone: 'UTC' } as const

  it('rule 2: refuses a payment over its limit before anything is signed', async () => {
    const engine = await startEngine({ seller: () => reply(200), budgets: [{ ...each, limit: 999n }] })
    expect(await pay(engine)).toMatchObject({ code: 'budget_exhausted' })
    expect(engine.paid()).toEqual([])
    expect(await engine.store.charges()).toEqual([])
  })

  it('rule 2: lets any number of payments within its limit through, since nothing adds up', async () => {
    const engine = await startEngine({ seller: () => reply(200), budgets: [{ ...each, limit: 1000n }] })
    for (let n = 0; n < 3; n += 1) expect(await pay(engine)).toBeUndefined()
    expect(engine.paid()).toHaveLength(3)
  })

  it('rule 2: refuses beside a budget of another window that has room, and takes nothing from it', async () => {
    const day = { ...BUDGET, limit: 10_000n }
    const engine = await startEngine({
      seller: () => reply(200),
      budgets: [day, { ...each, per: 'seller', limit: 999n }],
    })
    expect(await pay(engine)).toMatchObject({ code: 'budget_exhausted' })
    expect(await engine.ledger.budgets([day])).toMatchObject([{ totals: { spent: 0n, held: 0n } }])
  })
})

describe('an offer', () => {
  /** Pays, and tells the states of offers that observers were told. */
  async function told(
    options: Parameters<typeof startEngine>[0],
    offers: readonly object[] = [],
  ): Promise<string[]> {
    const engine = await startEngine(options)
    const states: string[] = []
    const observe = (event: { readonly type: string }): void => {
      if (event.type !== 'offer') return
      const { payer, seller, network, state, reason } = event as Extract<TollwayEvent, { type: 'offer' }>
      states.push([state, reason, network, payer, seller].join(' '))
    }
    const call = { ...engine.call(), context: { ...engine.context, observers: [observe] } }
    await new PaidCall(call, REQUEST).run(challenge(...offers), 0).catch(() => undefined)
    return states
  }
  const where = 'eip155:84532 wallet https://seller.test'

  it('is told as offered when it is paid', async () => {
    expect(await told({ seller: () => reply(200) })).toEqual([`offered  ${where}`])
  })

  it('is told as refused, with the reason, by the gate, a budget and the payer', async () => {
    const seller = () => reply(200)
    expect(await told({ seller }, [{ ...offerV2, amount: '900000' }])).toEqual([
      'offered  none wallet https://seller.test',
      'refused price_above_limit none wallet https://seller.test',
    ])
    expect(await told({ seller, budgets: [BUDGET] })).toEqual([
      `offered  ${where}`,
      `refused budget_exhausted ${where}`,
    ])
    const authorize = () => Promise.reject(new TollwayError({ code: 'signer_unavailable', message: 'gone' }))
    expect(await told({ seller, payer: { authorize } })).toEqual([
      `offered  ${where}`,
      `refused signer_unavailable ${where}`,
    ])
  })

  it('is told as rejected when the seller refuses what was sent, and not for other failures', async () => {
    const rejecting = () => reply(402, '{"error":"invalid_exact_evm_payload_signature"}')
    expect(await told({ seller: rejecting })).toEqual([
      `offered  ${where}`,
      `rejected payment_rejected ${where}`,
    ])
    expect(await told({ seller: () => reply(500) })).toEqual([`offered  ${where}`])
  })
})
