import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ROUTER_DEFAULTS, RouterState, type RoutedRequest } from '../../src/core/routing/router-state.ts'
import type { TollwayEvent } from '../../src/core/telemetry/events.ts'
import type { Attempt } from '../../src/core/routing/attempt.ts'
import type { Candidate } from '../../src/core/routing/route.ts'
import { candidate } from './routes.ts'

const REQUEST: RoutedRequest = {
  caller: 'anonymous',
  model: 'm',
  endpoint: '/chat/completions',
  header: () => undefined,
  fallbacks: () => [],
}

function stateAt(clock: { ms: number }, more: Partial<ConstructorParameters<typeof RouterState>[0]> = {}) {
  const events: TollwayEvent[] = []
  const state = new RouterState({
    ...ROUTER_DEFAULTS,
    random: Math.random,
    ...more,
    clock: { now: () => clock.ms },
    observers: [(event) => events.push(event)],
  })
  return { state, events, routing: state.routing(REQUEST) }
}

function first(
  state: RouterState,
  candidates: readonly Candidate[],
  request = REQUEST,
): Candidate | undefined {
  return state.arrange(candidates, request)[0]
}

describe('a route that keeps failing', () => {
  const bad = candidate('bad')
  const good = candidate('good', 1)
  const fail = (attempt: Attempt | undefined): void => {
    attempt?.failed('seller_unavailable')
    attempt?.leave()
  }

  it('bears the allowed failures, cools down with the next, and comes back by one probe', () => {
    const clock = { ms: 1_000_000 }
    const { state, events, routing } = stateAt(clock)
    for (let fails = 0; fails < 3; fails++) {
      expect(first(state, [bad, good])).toBe(bad)
      fail(routing.enter(bad))
    }
    expect(first(state, [bad, good])).toBe(bad)
    fail(routing.enter(bad))
    expect(first(state, [bad, good])).toBe(good)
    expect(events).toEqual([
      { type: 'cooled', route: 'm', seller: 'http://bad.test', reason: 'seller_unavailable' },
    ])
    clock.ms += 4_999
    expect(first(state, [bad, good])).toBe(good)
    clock.ms += 1
    // The next request tries it out, and the one after that still goes elsewhere.
    expect(first(state, [bad, good])).toBe(bad)
    const probe = routing.enter(bad)
    expect(first(state, [bad, good])).toBe(good)
    probe?.answered()
    expect(first(state, [bad, good])).toBe(bad)
    expect(state.readings().map((one) => one.state)).toEqual(['healthy', 'healthy'])
  })

  it('stays out after a failed trial, and allows another one when a trial ends without a result', () => {
    const clock = { ms: 1_000_000 }
    const { state, routing } = stateAt(clock, { allowedFails: 0 })
    fail(routing.enter(bad))
    clock.ms += 5_000
    fail(routing.enter(bad))
    expect(first(state, [bad, good])).toBe(good)
    clock.ms += 5_000
    const probe = routing.enter(bad)
    expect(first(state, [bad, good])).toBe(good)
    probe?.unknown()
    expect(first(state, [bad, good])).toBe(bad)
  })

  it('cools down immediately and for as long as it asks, up to ten minutes', () => {
    const clock = { ms: 1_000_000 }
    const { state, routing } = stateAt(clock)
    routing.enter(bad)?.failed('status_429', 30_000)
    clock.ms += 29_999
    expect(first(state, [bad, good])).toBe(good)
    clock.ms += 1
    expect(first(state, [bad, good])).toBe(bad)
    routing.enter(bad)?.failed('status_429', 86_400_000)
    clock.ms += 600_000
    expect(first(state, [bad, good])).toBe(bad)
  })

  it('is still used when there is no other', () => {
    const { state, routing } = stateAt({ ms: 0 }, { allowedFails: 0 })
    fail(routing.enter(bad))
    expect(state.arrange([bad], REQUEST)).toEqual([bad])
  })

  it('never cools with a cooldown of zero', () => {
    const { state, routing } = stateAt({ ms: 0 }, { allowedFails: 0, cooldownMs: 0 })
    for (let fails = 0; fails < 10; fails++) fail(routing.enter(bad))
    expect(first(state, [bad, good])).toBe(bad)
  })
})

it('under any interleaving at most one trial is in flight, slots add up, and every route comes back', () => {
  const step = fc.record({
    act: fc.constantFrom('enter', 'answered', 'failed', 'unknown', 'leave', 'wait'),
    which: fc.nat(9),
    ms: fc.integer({ min: 0, max: 8_000 }),
  })
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 40, maxLength: 60 }),
      fc.integer({ min: 1, max: 3 }),
      (steps, maxParallel) => {
        const clock = { ms: 1_000_000 }
        const limited = candidate('limited', 0, { maxParallel })
        const other = candidate('other', 1)
        const { state, routing } = stateAt(clock, { allowedFails: 1 })
        const open: { attempt: Attempt; probing: boolean; ended: boolean }[] = []
        let inside = 0
        for (const { act, which, ms } of steps) {
          const stateNow = (): string | undefined =>
            state.readings().find(({ seller }) => seller === 'http://limited.test')?.state
          const cooled = first(state, [limited, other]) === other
          if (act === 'wait') clock.ms += ms
          else if (act === 'enter') {
            const attempt = routing.enter(limited)
            expect(attempt === undefined).toBe(inside >= maxParallel)
            if (!attempt) continue
            inside += 1
            // Whoever enters while it cools or is being tried out is no probe.
            open.push({ attempt, probing: !cooled && stateNow() === 'probing', ended: false })
            expect(open.filter((one) => one.probing && !one.ended).length).toBeLessThanOrEqual(1)
          } else {
            const one = open[which % Math.max(1, open.length)]
            if (!one) continue
            if (act === 'leave') {
              one.attempt.leave()
              one.attempt.leave()
              open.splice(open.indexOf(one), 1)
              inside -= 1
              one.attempt.unknown()
            } else {
              one.attempt[act]('seller_unavailable')
              // A verdict of one request may bring the route back, or out, while another's probe is on its way.
              for (const each of open) each.ended ||= each === one || stateNow() !== 'probing'
            }
          }
          expect(state.arrange([limited, other], REQUEST)).toHaveLength(2)
        }
        clock.ms += 600_001
        expect(first(state, [limited, other])).toBe(limited)
      },
    ),
  )
})

describe('a session', () => {
  const a = candidate('a', 0, { weight: 1 })
  const b = candidate('b', 0, { weight: 1 })
  const dear = candidate('dear', 1)
  const session = (id: string, caller = 'anonymous'): RoutedRequest => ({
    ...REQUEST,
    caller,
    header: (name) => (name === 'x-session-id' ? id : undefined),
  })

  it('stays with the seller that answered it, within its rank and time', () => {
    const clock = { ms: 0 }
    const { state } = stateAt(clock)
    state.routing(session('one')).enter(b)?.answered()
    expect(first(state, [a, b, dear], session('one'))).toBe(b)
    expect(first(state, [a, b, dear], session('two'))).toBe(a)
    expect(first(state, [a, b, dear], session('one', 'somebody-else'))).toBe(a)
    expect(first(state, [a, b, dear])).toBe(a)
    // A stand-in of a later rank does not hold a session when its own sellers are back.
    state.routing(session('one')).enter(dear)?.answered()
    expect(first(state, [a, b, dear], session('one'))).toBe(a)
    state.routing(session('one')).enter(b)?.answered()
    clock.ms += 3_600_000
    expect(first(state, [a, b, dear], session('one'))).toBe(a)
  })

  it('leaves a place that cools down, and names too long to be one are not remembered', () => {
    const { state } = stateAt({ ms: 0 }, { allowedFails: 0 })
    state.routing(session('one')).enter(b)?.answered()
    state.routing(session('one')).enter(b)?.failed('seller_unavailable')
    expect(first(state, [a, b], session('one'))).toBe(a)
    const long = session('x'.repeat(257))
    state.routing(long).enter(b)?.answered()
    expect(first(state, [a, b], long)).toBe(a)
  })
})
