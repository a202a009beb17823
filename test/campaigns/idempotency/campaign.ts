/** Requests that come again, in every way in which a repeat is recognised, while everything but the client's words changes. */
import { DatabaseSync } from 'node:sqlite'
import { Random } from '../crash/random.ts'
import { LAYOUTS, MOODS, startWorld, SUBSTITUTE, type World } from './world.ts'

/** How a repeat is recognised (docs/idempotency.md). */
export const WAYS = [
  'key',
  'x-request-id',
  'retry-count',
  'retry before the price',
  'failed before',
  'failed for another model',
  'left before',
] as const

/** One of {@link WAYS}. */
export type Way = (typeof WAYS)[number]

/** What a campaign came to. */
export interface RepeatReport {
  /** Requests and attempts by way. */
  readonly requests: ReadonlyMap<Way, number>
  readonly attempts: ReadonlyMap<Way, number>
  /** Requests that were paid, and those that were paid more than once. */
  readonly paid: number
  readonly paidTwice: readonly string[]
  /** Attempts that were answered with what an earlier one came to. */
  readonly replayed: number
}

/** What one attempt came to. */
interface Attempt {
  readonly status: number
  readonly spent: string
  readonly replayed: boolean
}

/** Where and how a request is sent; one of the gateways where it says nothing. */
interface AskedHow {
  readonly index?: number | undefined
  readonly model?: string | undefined
  readonly signal?: AbortSignal | undefined
}

const MINUTE = 60_000

/** @param count requests, each of which is attempted two to five times */
export async function runRepeats(count: number, seed: number): Promise<RepeatReport> {
  const world = await startWorld()
  try {
    return await new Campaign(world, new Random(seed)).run(count)
  } finally {
    await world.close()
  }
}

class Campaign {
  readonly #world: World
  readonly #random: Random
  readonly #requests = new Map<Way, number>()
  readonly #attempts = new Map<Way, number>()
  #replayed = 0

  constructor(world: World, random: Random) {
    this.#world = world
    this.#random = random
  }

  async run(count: number): Promise<RepeatReport> {
    for (let index = 0; index < count; index += 1) {
      const way = WAYS[index % WAYS.length] ?? 'key'
      add(this.#requests, way)
      await this.#request(`r${index}`, way)
    }
    const paid = this.#world.paid()
    const twice = [...paid].filter(([, payments]) => payments > 1)
    return {
      requests: this.#requests,
      attempts: this.#attempts,
      paid: paid.size,
      paidTwice: twice.map(([mark, payments]) => `${mark} (${this.#wayOf(mark)}): ${payments} payments`),
      replayed: this.#replayed,
    }
  }

  async #request(mark: string, way: Way): Promise<void> {
    const random = this.#random
    // What an earlier request cooled down is another one's history.
    this.#world.clock.advance(3 * MINUTE)
    const repeats = random.between(1, 4)
    let last = await this.#first(mark, way)
    for (let n = 1; n <= repeats; n += 1) {
      // A plain client that has its answer, or paid nothing, means another request.
      const isPlain = way === 'failed before' || way === 'failed for another model'
      if (isPlain && (last.status < 400 || last.spent === 'no')) return
      if (way === 'left before' && last.status < 400) return
      await this.#change(way)
      if (way === 'key' && random.chance(0.3)) {
        const both = await Promise.all([this.#attempt(mark, way, n), this.#attempt(mark, way, n)])
        last = both[0]
      } else last = await this.#attempt(mark, way, n)
    }
  }

  async #first(mark: string, way: Way): Promise<Attempt> {
    if (way === 'left before') return await this.#leave(mark)
    return way === 'retry before the price' ? await this.#overtake(mark) : await this.#attempt(mark, way, 0)
  }

  /** A client gives up before its gateway has reserved, and its retry reaches the other one. */
  async #overtake(mark: string): Promise<Attempt> {
    const world = this.#world
    const way = 'retry before the price'
    const index = this.#random.between(0, 1)
    world.onQuestion = async () => {
      for (let turns = this.#random.between(0, 60); turns > 0; turns -= 1) await new Promise(setImmediate)
    }
    const both = [this.#attempt(mark, way, 0, index), this.#attempt(mark, way, 1, 1 - index)] as const
    const [, retry] = await Promise.all(both)
    world.onQuestion = () => undefined
    return retry
  }

  /** Time, health, and now and then the configuration of a gateway. */
  async #change(way: Way): Promise<void> {
    const random = this.#random
    const isNamed = way === 'key' || way === 'x-request-id'
    this.#world.clock.advance(isNamed ? random.between(0, 300) * MINUTE : random.between(0, 20_000))
    for (const seller of this.#world.sellers) if (random.chance(0.6)) seller.mood = random.pick(MOODS)
    if (random.chance(0.15)) await this.#world.restart(random.between(0, 1), random.pick(LAYOUTS))
  }

  async #attempt(mark: string, way: Way, n: number, index?: number): Promise<Attempt> {
    add(this.#attempts, way)
    const model = way === 'failed for another model' && n % 2 ? SUBSTITUTE : 'paid/m'
    const response = await this.#ask(mark, this.#headers(mark, way, n), { index, model })
    await response.text().catch(() => '')
    const replayed = response.headers.get('x-tollway-replayed') === 'yes'
    if (replayed) this.#replayed += 1
    return { status: response.status, spent: response.headers.get('x-tollway-spent') ?? '', replayed }
  }

  /** Asks, and leaves as soon as a seller has the payment, or gets what there is without one. */
  async #leave(mark: string): Promise<Attempt> {
    add(this.#attempts, 'left before')
    const world = this.#world
    const leaver = new AbortController()
    const index = this.#random.between(0, 1)
    const noticed = Promise.withResolvers<void>()
    world.onPayment = async () => {
      leaver.abort()
      await this.#noticed()
      noticed.resolve()
    }
    try {
      const response = await this.#ask(mark, {}, { index, signal: leaver.signal })
      await response.text()
      return { status: response.status, spent: 'no', replayed: false }
    } catch {
      await noticed.promise
      return { status: 499, spent: 'unknown', replayed: false }
    } finally {
      world.onPayment = () => undefined
    }
  }

  /** Waits until the ledger says that the client of the open charge left. */
  async #noticed(): Promise<void> {
    const db = new DatabaseSync(this.#world.ledger, { readOnly: true })
    const query = db.prepare(
      "SELECT count(*) AS n FROM tombstones JOIN charges ON charges.id = charge WHERE state = 'authorized' AND undelivered_at IS NULL",
    )
    while (Number(query.get()?.['n']) > 0) await new Promise(setImmediate)
    db.close()
  }

  async #ask(
    mark: string,
    headers: Record<string, string>,
    { index = this.#random.between(0, 1), model = 'paid/m', signal }: AskedHow,
  ): Promise<Response> {
    const url = this.#world.gateways[index]?.url ?? ''
    // A header that a route may hang on, and that says nothing about which request this is.
    const tier: Record<string, string> = this.#random.chance(0.4) ? { 'x-tier': 'gold' } : {}
    return await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers, ...tier },
      body: JSON.stringify({
        model,
        user: mark,
        messages: [{ role: 'user', content: 'hello' }],
      }),
      ...(signal ? { signal } : {}),
    })
  }

  #headers(mark: string, way: Way, n: number): Record<string, string> {
    if (way === 'key') return { 'idempotency-key': mark }
    if (way === 'x-request-id') return { 'x-request-id': `id-${mark}` }
    const counts = way === 'retry-count' || way === 'retry before the price'
    return counts ? { 'x-stainless-retry-count': String(n) } : {}
  }

  #wayOf(mark: string): Way {
    return WAYS[Number(mark.slice(1)) % WAYS.length] ?? 'key'
  }
}

function add(counts: Map<Way, number>, way: Way): void {
  counts.set(way, (counts.get(way) ?? 0) + 1)
}
