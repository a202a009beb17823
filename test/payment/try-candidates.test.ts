/** Which candidate is asked after which: an unpaid failure falls back, a refusal and a signed send end the chain. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TollwayError, type ErrorCode } from '../../src/core/errors.ts'
import { ERROR_TABLE } from '../../src/core/error-table.ts'
import type { Candidate } from '../../src/core/routing/route.ts'
import { UpstreamError } from '../../src/io/transport/upstream-error.ts'
import { tryCandidates } from '../../src/payment/try-candidates.ts'
import {
  candidateAt,
  challenge,
  receiptOf,
  reply,
  startEngine,
  type Engine,
  type EngineOptions,
} from '../kit/payment-engine.ts'

const FIRST = candidateAt('seller.test')
const SECOND = candidateAt('second.test')
const FREE = candidateAt('second.test', { modelName: 'free', payer: undefined })

/** Runs one request over these candidates. */
async function run(
  candidates: readonly Candidate[],
  options: EngineOptions,
): Promise<Engine & { readonly error: unknown }> {
  const engine = await startEngine(options)
  engine.exchange.routing.candidates = candidates
  const req = { method: 'POST', url: '/v1/chat/completions', headers: { 'content-type': 'application/json' } }
  const error = await tryCandidates(engine.context, req, engine.exchange, engine.client.signal).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  return { ...engine, error }
}

/** The hosts that were asked, with a star where a payment went along. */
function asked({ sent }: Engine): string[] {
  return sent.map(({ url, headers }) => {
    const paid = headers['payment-signature'] === undefined ? '' : '*'
    return `${new URL(url).host}${paid}`
  })
}

describe('the chain of candidates', () => {
  it('pays the first candidate that asks for a payment, and asks no other', async () => {
    const ended = await run([FIRST, SECOND], {
      seller: (_request, isPaid) => (isPaid ? reply(200) : challenge()),
    })
    expect(ended.error).toBeUndefined()
    expect(asked(ended)).toEqual(['seller.test', 'seller.test*'])
    expect(ended.exchange.relay.reply).toMatchObject({ status: 200, kind: 'paid' })
    expect(ended.exchange.record.outcome).toBe('paid')
  })

  it('goes on to the next candidate when the unpaid send finds no seller', async () => {
    const ended = await run([FIRST, SECOND], {
      seller: ({ url }, isPaid) => {
        if (url.includes('seller.test')) throw new UpstreamError('connect', undefined)
        return isPaid ? reply(200) : challenge()
      },
    })
    expect(ended.error).toBeUndefined()
    expect(asked(ended)).toEqual(['seller.test', 'second.test', 'second.test*'])
    expect(ended.exchange.record.details['tried']).toBe(
      'paid/m@seller.test=seller_unavailable paid/m@second.test=status_200',
    )
  })

  it('fails with the error of the first candidate when all fail', async () => {
    const ended = await run([FIRST, SECOND], {
      seller: ({ url }) => {
        throw new UpstreamError(url.includes('second.test') ? 'timeout' : 'connect', undefined)
      },
    })
    expect(ended.error).toMatchObject({ code: 'seller_unavailable', details: { reason: 'connect' } })
  })

  it('rule 5: asks nobody else after a signed send, whatever became of it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.integer({ min: 300, max: 599 }), fc.constant('lost' as const)),
        fc.constantFrom({}, receiptOf(true), receiptOf(false), challenge().headers),
        fc.constantFrom(SECOND, FREE),
        async (fate, headers, next) => {
          const ended = await run([FIRST, next], {
            seller: (_request, isPaid) => {
              if (!isPaid) return challenge()
              if (fate === 'lost') throw new UpstreamError('reset', undefined)
              return { ...reply(fate), headers }
            },
          })
          expect(ended.error).toBeInstanceOf(TollwayError)
          expect(asked(ended)).toEqual(['seller.test', 'seller.test*'])
        },
      ),
    )
  })

  it.each([
    [SECOND, ['seller.test', 'seller.test*', 'second.test', 'second.test*']],
    [FREE, ['seller.test', 'seller.test*', 'second.test']],
  ])('rule 5: goes on to the next candidate when not one byte of the payment left', async (next, hosts) => {
    const ended = await run([FIRST, next], {
      seller: ({ url }, isPaid) => {
        if (isPaid && url.includes('seller.test')) throw new UpstreamError('connect', undefined)
        return isPaid || (next === FREE && url.includes('second.test')) ? reply(200) : challenge()
      },
    })
    expect(ended.error).toBeUndefined()
    expect(asked(ended)).toEqual(hosts)
    const charges = await ended.store.charges({ limit: 10 })
    expect(charges.filter(({ state }) => state === 'released')).toHaveLength(1)
    expect(charges.filter(({ state }) => state === 'settled')).toHaveLength(next === FREE ? 0 : 1)
  })

  it('rule 7: asks nobody else when policy refuses the address of the payment', async () => {
    const ended = await run([FIRST, FREE], {
      seller: (_request, isPaid) => {
        if (isPaid) throw new UpstreamError('private', undefined)
        return challenge()
      },
    })
    expect(ended.error).toMatchObject({ code: 'host_not_allowed' })
    expect(asked(ended)).toEqual(['seller.test', 'seller.test*'])
  })

  it('opens the connection of a payment before the question, and lets go of it when none is asked for', async () => {
    const told: string[] = []
    const engine = await startEngine({ seller: () => reply(200) })
    engine.exchange.routing.candidates = [FIRST]
    const line = {
      take: () => Promise.reject(new Error('not paid')),
      close: () => void told.push('closed'),
    }
    const upstream = {
      ...engine.context.upstream,
      openLine: () => {
        told.push('opened')
        return line
      },
    }
    const req = { method: 'POST', url: '/v1/chat/completions', headers: {} }
    await tryCandidates({ ...engine.context, upstream }, req, engine.exchange, engine.client.signal)
    expect(told).toEqual(['opened', 'closed'])
  })

  it('rule 7: asks nobody else after a refusal by a budget', async () => {
    const ended = await run([FIRST, FREE], {
      seller: () => challenge(),
      budgets: [{ name: 'day', limit: 999n, window: 'day', timezone: 'UTC' }],
    })
    expect(ended.error).toMatchObject({ code: 'budget_exhausted' })
    expect(asked(ended)).toEqual(['seller.test'])
  })

  it('rule 7: asks nobody else after a refusal by policy', async () => {
    const ended = await run([FIRST, FREE], {
      seller: () => challenge(),
      policy: { payTo: new Map([['https://seller.test', ['0x00000000000000000000000000000000000000cc']]]) },
    })
    expect(ended.error).toMatchObject({ code: 'payee_not_allowed' })
    expect(asked(ended)).toEqual(['seller.test'])
  })

  it.each(Object.keys(ERROR_TABLE) as ErrorCode[])(
    'rule 7: follows the error table for a payer that fails with %s before anything was sent',
    async (code) => {
      const ended = await run([FIRST, FREE], {
        seller: ({ url }) => (url.includes('seller.test') ? challenge() : reply(200)),
        payer: { authorize: () => Promise.reject(new TollwayError({ code, message: 'no' })) },
      })
      const goesOn = ERROR_TABLE[code].chain === 'next'
      expect(asked(ended)).toEqual(goesOn ? ['seller.test', 'second.test'] : ['seller.test'])
      expect(ended.paid()).toEqual([])
      expect(ended.exchange.payment.charge?.state).toBe('released')
    },
  )

  it('falls back where the price is above the ceiling, and every candidate meets the same ceiling', async () => {
    const ended = await run([FIRST, SECOND], { seller: () => challenge(), policy: { maxMicroUsd: 999n } })
    expect(ended.error).toMatchObject({ code: 'price_above_limit' })
    expect(asked(ended)).toEqual(['seller.test', 'second.test'])
    expect(ended.paid()).toEqual([])
  })
})
