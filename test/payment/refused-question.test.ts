/** Answers to the unpaid question that are no offer and no outage: told as what they are, and not by "try again". */
import { describe, expect, it } from 'vitest'
import { TollwayError } from '../../src/core/errors.ts'
import { tryCandidates } from '../../src/payment/try-candidates.ts'
import { candidateAt, challenge, reply, startEngine, type Script } from '../kit/payment-engine.ts'

const FIRST = candidateAt('seller.test')
const SECOND = candidateAt('second.test')

async function ask(seller: Script, candidates = [FIRST]) {
  const engine = await startEngine({ seller })
  engine.exchange.routing.candidates = candidates
  const blamed: string[] = []
  engine.exchange.routing.attempts = {
    enter: () => ({
      answered: () => void blamed.push('answered'),
      failed: (reason: string) => void blamed.push(reason),
      unknown: () => void blamed.push('unknown'),
      leave: () => undefined,
    }),
    retries: () => 0,
    retryDelay: () => undefined,
    repeated: () => undefined,
    movedOn: () => undefined,
    fallbacks: () => [],
  }
  const req = { method: 'POST', url: '/v1/chat/completions', headers: {} }
  const error = await tryCandidates(engine.context, req, engine.exchange, engine.client.signal).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  return { engine, error: error instanceof TollwayError ? error : undefined, blamed }
}

describe('a redirect', () => {
  it.each([
    [301, 'https://www.seller.test/v1/chat/completions', 'https://www.seller.test/v1/chat/completions'],
    [302, '/v2/chat/completions', 'https://seller.test/v2/chat/completions'],
    [303, '//other.test/x?key=secret', 'https://other.test/x'],
    [307, 'https://seller.test:8443/', 'https://seller.test:8443/'],
    [308, 'http://seller.test/v1\u0007', 'http://seller.test/v1'],
  ])('of %i names its address and the fix, and is not followed', async (status, location, told) => {
    const { engine, error, blamed } = await ask(() => reply(status, '', { location }))
    expect(error).toMatchObject({
      code: 'seller_unavailable',
      status: 503,
      details: { reason: `status_${status}` },
    })
    expect(error?.message).toContain(`redirects to ${told}`)
    expect(error?.message).toContain('api_base')
    expect(error?.message).not.toContain('secret')
    expect(error?.headers).not.toHaveProperty('retry-after')
    expect(engine.sent).toHaveLength(1)
    expect(blamed).toEqual(['unknown'])
  })

  it.each([undefined, 'javascript:alert(1)', 'http://['])(
    'to %s is told without an address',
    async (location) => {
      const { error } = await ask(() => reply(301, '', location === undefined ? {} : { location }))
      expect(error?.message).toContain('redirects without an address')
    },
  )
})

describe('a refusal of who asks', () => {
  it.each([
    [401, 'asks for a login'],
    [403, 'refuses access'],
    [405, 'does not take this method'],
    [410, 'gone'],
    [451, 'may not serve this place'],
  ])('of %i is told as what it is, with the words of the seller', async (status, what) => {
    const body = JSON.stringify({ error: { message: 'no entry today' } })
    const { error, blamed } = await ask(() => reply(status, body))
    expect(error?.message).toContain(what)
    expect(error?.headers).toEqual({ 'x-tollway-seller-message': 'no entry today' })
    expect(error?.details).toMatchObject({ seller_status: status, seller_message: 'no entry today' })
    expect(blamed).toEqual(['unknown'])
  })

  it('sends the request to the next candidate', async () => {
    const { engine, error } = await ask(
      ({ url }, isPaid) => {
        if (url.includes('seller.test')) return reply(403, 'error code: 1010')
        return isPaid ? reply(200) : challenge()
      },
      [FIRST, SECOND],
    )
    expect(error).toBeUndefined()
    expect(engine.paid()).toHaveLength(1)
  })
})

describe('an outage', () => {
  it.each([429, 500, 502, 530])(
    'of %i still says when to try again, and counts against the route',
    async (status) => {
      const { error, blamed } = await ask(() => reply(status, ''))
      expect(error?.headers).toMatchObject({ 'retry-after': '5' })
      expect(blamed).toEqual(['seller_unavailable'])
    },
  )
})
