import { anything, assert, asyncProperty } from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { HookRunner, HOOK_TIMEOUT_MS } from '../../src/core/hooks/hook-runner.ts'
import { vouchersToSign } from '../../src/core/hooks/hook-facts.ts'
import type { Hooks, PaymentToSign, SentPayment } from '../../src/core/hooks/hooks.ts'
import { TollwayError } from '../../src/core/errors.ts'
import type { TollwayEvent } from '../../src/core/telemetry/events.ts'
import { fakeTime } from '../../src/testing/index.ts'
import { chargeIn, untyped } from '../middleware/harness.ts'
import { quoteOf } from '../kit/quotes.ts'

const never = new AbortController().signal

function open(hooks: Hooks): {
  readonly runner: HookRunner
  readonly events: TollwayEvent[]
  readonly lines: string[]
  readonly advance: (ms: number) => void
} {
  const { clock, timers, advance } = fakeTime()
  const events: TollwayEvent[] = []
  const lines: string[] = []
  const note = (_fields: object, message: string): void => void lines.push(message)
  const observers = [(event: TollwayEvent) => void events.push(event)]
  const runner = new HookRunner(hooks, { clock, timers, observers, log: { error: note, warn: note } })
  return { runner, events, lines, advance }
}

const payment = (): PaymentToSign => vouchersToSign({ payer: 'base', model: 'm', count: 2 }, quoteOf())

async function refusal(runner: HookRunner, signal = never): Promise<TollwayError> {
  const error: unknown = await runner.beforeSign(payment(), signal).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof TollwayError) return error
  throw new Error(`not refused: ${String(error)}`)
}

describe('beforeSign', () => {
  it('lets a payment go on when it returns nothing, now or later', async () => {
    for (const beforeSign of [() => undefined, async () => undefined]) {
      const { runner, events } = open({ beforeSign })
      await expect(runner.beforeSign(payment(), never)).resolves.toBeUndefined()
      expect(events).toEqual([{ type: 'hook', hook: 'beforeSign', result: 'done', reason: undefined }])
    }
  })

  it('refuses with a reason that the client, the audit record and the metrics get', async () => {
    const { runner, events } = open({
      beforeSign: () => ({ refuse: 'out_of_hours', message: 'Payments are made from 9 to 5.' }),
    })
    const error = await refusal(runner)
    expect([error.code, error.status]).toEqual(['hook_refused', 400])
    expect(error.message).toContain('(out_of_hours): Payments are made from 9 to 5.')
    expect(error.details).toEqual({ hook: 'beforeSign', hook_reason: 'out_of_hours' })
    expect(error.mayTryNext).toBe(false)
    expect(events).toEqual([{ type: 'hook', hook: 'beforeSign', result: 'refused', reason: 'out_of_hours' }])
  })

  it('makes no label of a free text, and no control character of a reason', async () => {
    const { runner, events } = open({ beforeSign: () => ({ refuse: 'order 17\nis too dear' }) })
    const error = await refusal(runner)
    expect(error.details['hook_reason']).toBe('order 17?is too dear')
    expect(error.message).not.toContain('\n')
    expect(events).toMatchObject([{ reason: 'other' }])
  })

  it('rule 6: refuses for everything that is not nothing: a hook can only be understood as no', async () => {
    await assert(
      asyncProperty(
        anything().filter((value) => value !== undefined),
        async (value) => {
          const { runner } = open({ beforeSign: async () => untyped<undefined>(value) })
          const { code, mayTryNext } = await refusal(runner)
          expect(['hook_refused', 'hook_unavailable']).toContain(code)
          expect(mayTryNext).toBe(false)
        },
      ),
    )
  })

  it('refuses when it throws, and says so in the log', async () => {
    const boom = (): never => {
      throw new Error('no database')
    }
    for (const beforeSign of [boom, async () => boom()]) {
      const { runner, events, lines } = open({ beforeSign })
      const error = await refusal(runner)
      expect([error.code, error.status]).toEqual(['hook_unavailable', 503])
      expect(error.message).not.toContain('no database')
      expect(events).toMatchObject([{ result: 'failed' }])
      expect(lines).toEqual(['the hook beforeSign failed'])
    }
  })

  it.each([undefined, 70])('refuses when it hangs longer than its time (%s ms)', async (timeoutMs) => {
    let told: AbortSignal | undefined
    const { runner, events, advance } = open({
      timeoutMs,
      beforeSign: (_payment, signal) => {
        told = signal
        return new Promise(() => undefined)
      },
    })
    const asked = refusal(runner)
    await Promise.resolve()
    advance((timeoutMs ?? HOOK_TIMEOUT_MS) - 1)
    expect(told?.aborted).toBe(false)
    advance(1)
    expect((await asked).details).toEqual({ hook: 'beforeSign', hook_reason: 'timeout' })
    expect([told?.aborted, events]).toMatchObject([true, [{ result: 'timeout' }]])
  })

  it('is not waited for when nobody wants the payment any more', async () => {
    const leaving = new AbortController()
    const { runner } = open({ beforeSign: () => new Promise(() => undefined) })
    const asked = runner.beforeSign(payment(), leaving.signal)
    const left = new Error('left')
    leaving.abort(left)
    await expect(asked).rejects.toBe(left)
    await expect(runner.beforeSign(payment(), leaving.signal)).rejects.toBe(left)
  })

  it('rule 6: gets frozen copies, so that it cannot change what is signed', async () => {
    const given = payment()
    const { runner } = open({
      beforeSign: (told) => {
        untyped<{ amount: bigint }>(told).amount = 1n
      },
    })
    expect((await refusal(runner)).code).toBe('hook_unavailable')
    expect(given.amount).toBe(quoteOf().amount)
    expect([Object.isFrozen(given), Object.isFrozen(given.tags)]).toEqual([true, true])
  })
})

describe('hooks that are not waited for', () => {
  test('afterSettle and onUncertain are called once per move, without a nonce or a signature', async () => {
    const told: [string, SentPayment][] = []
    const { runner, events } = open({
      afterSettle: (sent) => void told.push(['settled', sent]),
      onUncertain: (sent) => void told.push(['uncertain', sent]),
    })
    const authorization = { from: '0xf', nonce: '0xn', validAfter: 0, validBefore: 9 }
    runner.charges({ type: 'charge', charge: chargeIn('held'), from: undefined })
    runner.charges({ type: 'charge', charge: chargeIn('uncertain', { authorization }), from: 'authorized' })
    const settled = chargeIn('settled', { authorization, proof: 'chain', charged: 5n })
    runner.charges({ type: 'charge', charge: settled, from: 'uncertain' })
    // A stronger proof is no new settlement.
    runner.charges({ type: 'charge', charge: settled, from: 'settled' })
    await expect.poll(() => events).toHaveLength(2)
    expect(told.map(([point, { from, charged, proof }]) => [point, from, charged, proof])).toEqual([
      ['uncertain', '0xf', undefined, undefined],
      ['settled', '0xf', 5n, 'chain'],
    ])
    for (const [, sent] of told) {
      expect(Object.isFrozen(sent)).toBe(true)
      expect(Object.values(sent)).not.toContain('0xn')
    }
  })

  test('what they throw or never answer is counted and logged, and reaches nobody', async () => {
    const { runner, events, lines, advance } = open({
      afterSettle: () => {
        throw new Error('own fault')
      },
      onUncertain: () => new Promise(() => undefined),
    })
    runner.charges({ type: 'charge', charge: chargeIn('settled'), from: 'authorized' })
    runner.charges({ type: 'charge', charge: chargeIn('uncertain'), from: 'authorized' })
    await expect.poll(() => events).toHaveLength(1)
    advance(30_000)
    await expect.poll(() => events).toHaveLength(2)
    expect(events).toMatchObject([
      { hook: 'afterSettle', result: 'failed' },
      { hook: 'onUncertain', result: 'timeout' },
    ])
    expect(lines).toEqual(['the hook afterSettle failed', 'the hook onUncertain failed'])
  })
})
