/** Budgets that stay near their limits: at every restart the limits move a few calls above what is counted. */
import { formatUnits } from '../../../src/core/money/money.ts'
import type { Snapshot } from './books.ts'
import type { Random } from './random.ts'

/** About the price of a call, micro-USD. */
const CALL = 1_100n

/** The length of the rolling budget, milliseconds. */
export const ROLLING_MS = 120_000

interface Tight {
  readonly name: string
  readonly window: 'lifetime' | 'hour' | '2m'
  readonly timezone?: string
  readonly per?: 'model'
  /** Calls of room after a restart, least and most. */
  readonly room: readonly [number, number]
}

// Zones whose hours begin at different minutes: a campaign of a quarter of an hour crosses a boundary.
const BUDGETS: readonly Tight[] = [
  { name: 'tight', window: 'lifetime', room: [4, 40] },
  { name: 'hour-utc', window: 'hour', room: [8, 50] },
  { name: 'hour-kolkata', window: 'hour', timezone: 'Asia/Kolkata', room: [8, 50] },
  { name: 'rolling', window: '2m', room: [16, 80] },
  { name: 'per-model', window: 'lifetime', per: 'model', room: [8, 40] },
  { name: 'hour-kathmandu', window: 'hour', timezone: 'Asia/Kathmandu', room: [8, 50] },
]

/** See the file's head. */
export class Limits {
  readonly #limits = new Map(BUDGETS.map(({ name }) => [name, 12n * CALL]))
  readonly #random: Random

  constructor(random: Random) {
    this.#random = random
  }

  /** The largest limit of each budget so far, micro-USD. They never fall: a gateway may still run with an older one. */
  get largest(): ReadonlyMap<string, bigint> {
    return this.#limits
  }

  /** Makes room for a few more calls. To be called when the snapshot has been checked against {@link Limits.largest}. */
  raise({ windows, rolling }: Snapshot, now: number): void {
    for (const { name, room } of BUDGETS) {
      const taken = rolling.filter(({ budget, at }) => budget === name && at > now - ROLLING_MS)
      const own = windows.filter(({ budget, window }) => budget === name && !window.startsWith('rolling-'))
      const newest = own.reduce((latest, { windowStart }) => Math.max(latest, windowStart), 0)
      const fullest = own
        .filter(({ windowStart }) => windowStart === newest)
        .reduce((most, { counted }) => (counted > most ? counted : most), 0n)
      const counted = taken.reduce((sum, { amount }) => sum + amount, fullest)
      const wanted = counted + BigInt(this.#random.between(...room)) * CALL
      const before = this.#limits.get(name) ?? 0n
      if (wanted > before) this.#limits.set(name, wanted)
    }
  }

  /** As the configuration file has them. */
  asConfig(): object[] {
    // What is undefined is left out of JSON.
    return BUDGETS.map(({ name, window, timezone, per }) => ({
      name,
      window,
      timezone,
      per,
      limit_usd: formatUnits(this.#limits.get(name) ?? 0n, 6),
    }))
  }
}
