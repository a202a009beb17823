/** Which kills there will be, drawn from the seed. */
import type { Random } from './random.ts'
import { FREQUENT, RARE, STEPS, type Step } from './steps.ts'

/** One kill -9. */
export type Kill =
  /** At a moment of the clock, `tollway serve` as it is shipped. */
  | {
      readonly kind: 'random'
      /** `spawn`: possibly while it starts. */
      readonly since: 'spawn' | 'ready'
      readonly delayMs: number
      /** All gateways that listen die in the same instant. */
      readonly all: boolean
    }
  /** When it comes to a step. */
  | { readonly kind: 'step'; readonly step: Step; readonly nth: number }

/** Share of the kills at random moments. */
const RANDOM_SHARE = 0.5

/** Draws kills one after the other; the steps take turns, so that each gets its share. */
export function* drawKills(random: Random, count: number): Generator<Kill> {
  let turn = 0
  for (let drawn = 0; drawn < count; drawn += 1) {
    if (random.chance(RANDOM_SHARE)) {
      yield drawRandom(random)
      continue
    }
    const step = STEPS[turn % STEPS.length] ?? STEPS[0]
    turn += 1
    yield { kind: 'step', step, nth: RARE.has(step) ? 1 : random.between(1, FREQUENT.has(step) ? 12 : 2) }
  }
}

function drawRandom(random: Random): Kill {
  if (random.chance(0.08))
    return { kind: 'random', since: 'spawn', delayMs: random.between(50, 900), all: false }
  // Mostly short lives, and some that see heartbeats and looks at the chain.
  const delayMs = random.chance(0.02) ? random.between(5_000, 8_000) : random.between(20, 2_600)
  return { kind: 'random', since: 'ready', delayMs, all: random.chance(0.05) }
}

/** Kills at given steps, the first time each is come to. */
export function killsAt(steps: readonly Step[]): Kill[] {
  return steps.map((step) => ({ kind: 'step', step, nth: 1 }))
}
