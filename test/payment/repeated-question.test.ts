/** The unpaid question that was cut off: repeated once on a fresh connection, since nothing was paid. The payment never is. */
import { describe, expect, it } from 'vitest'
import { UpstreamError, type FailureReason } from '../../src/io/transport/upstream-error.ts'
import { tryCandidates } from '../../src/payment/try-candidates.ts'
import { candidateAt, challenge, reply, startEngine, type Script } from '../kit/payment-engine.ts'

async function ask(seller: Script, route: Parameters<typeof candidateAt>[1] = {}) {
  const engine = await startEngine({ seller })
  engine.exchange.routing.candidates = [candidateAt('seller.test', route)]
  const req = { method: 'POST', url: '/v1/chat/completions', headers: {} }
  const error = await tryCandidates(engine.context, req, engine.exchange, engine.client.signal).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  return { engine, error }
}

/** Fails so many first sends. */
function cutting(times: number, reason: FailureReason = 'reset'): Script {
  let failed = 0
  return (_request, isPaid) => {
    if (isPaid) return reply(200)
    failed += 1
    if (failed <= times) throw new UpstreamError(reason, undefined)
    return challenge()
  }
}

describe('a question that was cut off', () => {
  it('is repeated once, on a fresh connection, and then paid once', async () => {
    const { engine, error } = await ask(cutting(1))
    expect(error).toBeUndefined()
    expect(engine.sent.map(({ onFreshConnection }) => onFreshConnection === true)).toEqual([
      false,
      true,
      false,
    ])
    expect(engine.paid()).toHaveLength(1)
  })

  it('is not repeated a second time', async () => {
    const { engine, error } = await ask(cutting(2))
    expect(error).toMatchObject({ code: 'seller_unavailable' })
    expect(engine.sent).toHaveLength(2)
  })

  it.each<FailureReason>(['timeout', 'connect', 'malformed'])('is not repeated after %s', async (reason) => {
    const { engine, error } = await ask(cutting(1, reason))
    expect(error).toMatchObject({ code: 'seller_unavailable' })
    expect(engine.sent).toHaveLength(1)
  })

  it('is not repeated at an upstream with our key, which may have begun to work', async () => {
    const { engine } = await ask(cutting(1), { payer: undefined, apiKey: 'key' })
    expect(engine.sent).toHaveLength(1)
  })

  it('rule 5: never repeats the payment itself', async () => {
    const { engine, error } = await ask((_request, isPaid) => {
      if (isPaid) throw new UpstreamError('reset', undefined, false)
      return challenge()
    })
    expect(error).toMatchObject({ code: 'payment_uncertain' })
    expect(engine.paid()).toHaveLength(1)
    expect(engine.paid()[0]?.onFreshConnection).toBeUndefined()
  })
})
