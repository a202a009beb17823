/**
 * A day of mixed traffic in simulated time: gateway, official sellers and facilitator, and a local chain whose time goes on with
 * the gateway's clock. The day begins so that midnight and a daylight-saving change of Berlin fall into it.
 */
import { ask, startGateway, walletPayer, type TestGateway } from '../../kit/gateway.ts'
import { send } from '../../kit/seller-answers.ts'
import { startScriptedSeller } from '../../kit/scripted-seller.ts'
import { startTimedWorld, VALIDITY_SECONDS, type TimedWorld } from '../../reconcile/world.ts'
import { Random } from '../crash/random.ts'
import { holdBooksTogether, type Books } from './books.ts'
import { nextClockChange } from './clock-change.ts'

/** How a day is simulated. */
export interface DayOptions {
  readonly seed: number
  /** Steps of simulated time, evenly spread over 24 hours. */
  readonly steps: number
  /** Requests at once in a step, at most. */
  readonly burst: number
}

/** What a day came to. */
export interface DayReport {
  /** First and last instant, ISO 8601. */
  readonly from: string
  readonly to: string
  /** The daylight-saving change in it, ISO 8601. */
  readonly clockChange: string
  readonly requests: number
  /** Requests by what was tried and how it was answered, e.g. `paid 200`. */
  readonly answers: Readonly<Record<string, number>>
  /** Charges the chain decided about during the day and at its end. */
  readonly reconciled: { readonly settled: number; readonly released: number }
  readonly books: Books
}

const DAY_SECONDS = 86_400
const BERLIN = 'Europe/Berlin'

/** What a client or seller does. */
type Kind = (typeof CALM)[number] | (typeof TROUBLES)[number]

/** What mostly happens. */
const CALM = ['paid', 'paid', 'paid', 'streamed', 'free'] as const
/** What happens in turn, now and then. */
const TROUBLES = ['taken, denied', 'unreachable', 'not taken', 'too dear'] as const

/** Simulates a day. */
export async function simulateDay(options: DayOptions): Promise<DayReport> {
  const world = await startTimedWorld()
  try {
    const change = nextClockChange(BERLIN, world.clock.now())
    // Midnight in Berlin lies two to three hours before its clocks change.
    await world.advance(Math.ceil((change - 13 * 3_600_000 - world.clock.now()) / 1000))
    const upstream = await startScriptedSeller((_request, response) => {
      send(response, { status: 200, headers: { 'content-type': 'application/json' }, body: '{"free":true}' })
    })
    try {
      const gateway = await openGateway(world, upstream.apiBase)
      try {
        return await new Day(options, world, gateway, change).run()
      } finally {
        await gateway.close()
      }
    } finally {
      await upstream.close()
    }
  } finally {
    await world.close()
  }
}

async function openGateway(world: TimedWorld, upstream: string): Promise<TestGateway> {
  world.streamingSeller.setPrice('$0.002')
  const route = (name: string, api_base: string, payer?: string): object => ({
    model_name: `${name}/*`,
    model: '*',
    api_base,
    ...(payer === undefined ? {} : { payer }),
  })
  return await startGateway(
    {
      payers: { base: walletPayer(world.chain) },
      model_list: [
        route('paid', world.seller.apiBase, 'base'),
        route('streamed', world.streamingSeller.apiBase, 'base'),
        route('unreachable', 'http://127.0.0.1:9/v1', 'base'),
      ],
      upstream: { api_base: upstream },
      budgets: [
        { name: 'ever', limit_usd: '100.00', window: 'lifetime' },
        { name: 'day', limit_usd: '0.20', window: 'day', timezone: BERLIN },
        { name: 'hour', limit_usd: '0.03', window: 'hour' },
        { name: 'rolling', limit_usd: '0.15', window: '6h' },
      ],
      chains: { [world.chain.v1Network]: { rpc: world.chain.rpcUrl, finality: 'finalized' } },
      reconcile: { interval_seconds: 86_400 },
      timeouts: { first_byte_seconds: 10 },
    },
    { clock: world.clock },
  )
}

/** One run. */
class Day {
  readonly #options: DayOptions
  readonly #random: Random
  readonly #world: TimedWorld
  readonly #gateway: TestGateway
  readonly #change: number
  readonly #answers = new Map<string, number>()
  readonly #reconciled = { settled: 0, released: 0 }
  #requests = 0
  #troubles = 0

  constructor(options: DayOptions, world: TimedWorld, gateway: TestGateway, change: number) {
    this.#options = options
    this.#random = new Random(options.seed)
    this.#world = world
    this.#gateway = gateway
    this.#change = change
  }

  async run(): Promise<DayReport> {
    const { steps } = this.#options
    const { clock, chain } = this.#world
    const begin = clock.now()
    const paidBefore = await chain.balanceOf(chain.accounts.buyer.address)
    for (let step = 1; step <= steps; step += 1) {
      await this.#step()
      // What the step itself took is part of it.
      const due = begin + (step * DAY_SECONDS * 1000) / steps
      await this.#world.advance(Math.max(1, Math.round((due - clock.now()) / 1000)))
      if (step % Math.ceil(steps / 12) === 0) await this.#reconcile()
    }
    const to = clock.now()
    await this.#world.advance(VALIDITY_SECONDS + 1)
    await this.#world.finalize()
    await this.#reconcile()
    const moved = paidBefore - (await chain.balanceOf(chain.accounts.buyer.address))
    return {
      from: new Date(begin).toISOString(),
      to: new Date(to).toISOString(),
      clockChange: new Date(this.#change).toISOString(),
      requests: this.#requests,
      answers: Object.fromEntries([...this.#answers].toSorted(([a], [b]) => (a < b ? -1 : 1))),
      reconciled: { ...this.#reconciled },
      books: await holdBooksTogether(this.#gateway, moved, BERLIN, ['ever', 'day', 'hour']),
    }
  }

  async #step(): Promise<void> {
    const random = this.#random
    const count = random.between(1, this.#options.burst)
    const calm = Array.from({ length: count }, () => random.pick(CALM))
    await Promise.all(calm.map((kind) => this.#ask(kind)))
    if (!random.chance(0.6)) return
    this.#troubles += 1
    await this.#trouble(TROUBLES[this.#troubles % TROUBLES.length] ?? TROUBLES[0])
  }

  /** One request alone, so that what goes wrong hits it and no other. */
  async #trouble(kind: Kind): Promise<void> {
    const { seller, facilitator } = this.#world
    if (kind === 'too dear') seller.setPrice('$0.50')
    if (kind === 'taken, denied') facilitator.faults.settle.push({ status: 500, afterwards: true })
    if (kind === 'not taken') facilitator.faults.settle.push({ status: 500 })
    await this.#ask(kind)
    seller.setPrice('$0.001')
    facilitator.faults.settle.length = 0
  }

  async #ask(kind: Kind): Promise<void> {
    this.#requests += 1
    const user = `user-${this.#requests}`
    const answer = await ask(this.#gateway.url, { ...bodyOf(kind), user })
    const text = await answer.text()
    const code = answer.status < 400 ? '' : ` ${/"code":"(\w+)"/.exec(text)?.[1] ?? ''}`
    const name = `${kind}: ${answer.status}${code}`
    this.#answers.set(name, (this.#answers.get(name) ?? 0) + 1)
  }

  async #reconcile(): Promise<void> {
    const { changed } = await this.#gateway.gateway.parts.reconciler.run({ all: true })
    for (const { before, after } of changed) {
      if (before.state !== 'uncertain') continue
      if (after.state === 'settled') this.#reconciled.settled += 1
      if (after.state === 'released') this.#reconciled.released += 1
    }
  }
}

function bodyOf(kind: Kind): object {
  if (kind === 'free') return { model: 'local-llama' }
  if (kind === 'streamed') return { model: 'streamed/sandbox-small', stream: true }
  if (kind === 'unreachable') return { model: 'unreachable/m' }
  return { model: 'paid/sandbox-small' }
}
