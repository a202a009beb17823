/** The difference between a seller's clock and ours: told when it matters, allowed for when it is small. */
import { describe, expect, it } from 'vitest'
import { clockLog } from '../../src/app/logging/clock-log.ts'
import { clockSkew, describeSkew, skewAllowance } from '../../src/core/telemetry/clock-skew.ts'
import { PaidCall } from '../../src/payment/paid-call.ts'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'
import { createMetrics } from '../../src/io/metrics/metrics.ts'
import { offerV2 } from '../kit/quotes.ts'
import { challenge, NOW, reply, startEngine } from '../kit/payment-engine.ts'

const dateAt = (seconds: number): string => new Date(NOW + seconds * 1000).toUTCString()

describe('the skew', () => {
  it.each<[string | undefined, number | undefined]>([
    [dateAt(0), 0],
    [dateAt(2), 0],
    [dateAt(-2), 0],
    [dateAt(90), 91],
    [dateAt(-3600), -3599],
    [undefined, undefined],
    ['yesterday', undefined],
    ['', undefined],
  ])('of the date %s is %s', (date, seconds) => {
    const found = clockSkew(date, NOW)
    if (seconds === undefined) expect(found).toBeUndefined()
    else expect(Math.abs((found ?? 1e9) - seconds)).toBeLessThanOrEqual(1)
  })

  it('lengthens a validity only by small differences, and only where our clock is behind', () => {
    expect([undefined, 0, 40, 300, 301, 86_400, -40].map(skewAllowance)).toEqual([0, 0, 40, 300, 0, 0, 0])
  })

  it('is told from half a minute on, in which direction', () => {
    expect([undefined, 0, 30, -30].map((skew) => describeSkew(skew))).toEqual(Array(4).fill(undefined))
    expect(describeSkew(90)).toBe("this machine's clock is 90 s behind the seller's")
    expect(describeSkew(-90)).toBe("this machine's clock is 90 s ahead of the seller's")
  })
})

const REQUEST = {
  method: 'POST',
  url: 'https://seller.test/v1/chat/completions',
  headers: {},
  body: Buffer.from('{}'),
}

/** Pays a seller whose clock is ahead of ours. */
async function payAt(seconds: number, answer = reply(200)) {
  const validities: number[] = []
  const engine = await startEngine({
    seller: () => answer,
    payer: { ready: async ({ validitySeconds }) => void validities.push(validitySeconds) },
  })
  const events: unknown[] = []
  const call = engine.call()
  const observed = {
    ...call,
    context: { ...call.context, observers: [(event: unknown) => void events.push(event)] },
  }
  const asked = challenge()
  const dated = { ...asked, headers: { ...asked.headers, date: dateAt(seconds) } }
  const error = await new PaidCall(observed, REQUEST).run(dated, 0).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  return {
    error,
    validity: validities[0],
    skew: events.find((event) => JSON.stringify(event).includes('clock_skew')),
  }
}

describe('a payment to a seller with another clock', () => {
  it.each([
    [0, 60],
    [50, 110],
    [-50, 60],
    [5_000, 60],
  ])('%i s ahead is signed for %i s, so that a small difference never fails', async (seconds, validity) => {
    const paid = await payAt(seconds)
    expect(paid.error).toBeUndefined()
    expect(Math.abs((paid.validity ?? 0) - validity)).toBeLessThanOrEqual(1)
    expect(paid.skew).toMatchObject({ type: 'clock_skew', source: 'https://seller.test' })
  })

  it('that finds it expired is explained by the clocks', async () => {
    const required = {
      x402Version: 2,
      error: 'invalid_exact_evm_payload_authorization_valid_before',
      accepts: [offerV2],
    }
    const refused = reply(402, '{}', { 'payment-required': encodeBase64Json(required) })
    const { error } = await payAt(3_600, refused)
    expect(error).toMatchObject({
      message: expect.stringMatching(/clock is 36\d\d s behind the seller's.*Set the clock/),
    })
  })
})

it('is warned of once per seller and anew after it was gone, and stands in the metric', async () => {
  const warnings: string[] = []
  const warn = (_fields: object, text: string): void => void warnings.push(text)
  const observe = clockLog({ warn, error: warn })
  const metrics = createMetrics()
  for (const seconds of [90, 95, 0, -3600, 10]) {
    const event = { type: 'clock_skew', source: 'https://s.test', seconds } as const
    observe(event)
    metrics.observe(event)
  }
  expect(warnings).toHaveLength(2)
  expect(warnings[0]).toContain("90 s behind the seller's")
  observe({ type: 'clock_skew', source: 'eip155:8453', seconds: 120 })
  expect(warnings[2]).toContain('120 s behind that of base:')
  expect(await metrics.text()).toContain('tollway_clock_skew_seconds{source="https://s.test"} 10')
})
