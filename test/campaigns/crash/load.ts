/** Paying clients: they ask whichever gateway is up, lose answers when it dies, and ask again under the same request id. */
import { setTimeout as pause } from 'node:timers/promises'
import type { FacilitatorFault } from '../../../src/app/sandbox/facilitator.ts'
import type { ModelFault } from '../../../src/app/sandbox/model/model.ts'
import type { World } from '../../../src/app/sandbox/world.ts'
import type { Random } from './random.ts'

/** How long a seller waits for the facilitator, milliseconds: some settlements come later. */
export const FACILITATOR_TIMEOUT_MS = 3_000

/** What a client was told. */
export interface Answer {
  readonly request: string
  /** HTTP status; `undefined` when the connection broke before or during the answer. */
  readonly status: number | undefined
  readonly code: string | undefined
  /** `x-tollway-spent`. */
  readonly spent: string | undefined
  /** `x-tollway-charge`. */
  readonly charge: string | undefined
  /** The client left on purpose. */
  readonly left: boolean
}

/** A gateway as the clients see it. */
export interface Target {
  /** Where it listens; `undefined` while it is dead. */
  readonly url: string | undefined
  /** Requests it is working on. */
  inFlight: number
  /** Resolves when it listens again. */
  up(): Promise<void>
}

/** What the clients work with. */
export interface LoadParts {
  readonly world: World
  readonly targets: readonly Target[]
  readonly modelFaults: ModelFault[]
  readonly random: Random
  readonly clients: number
  /** Whether settlements are delayed, sellers fail and clients leave. */
  readonly faults: boolean
}

/** See the file's head. */
export class Load {
  readonly #parts: LoadParts
  readonly #answers: Answer[] = []
  readonly #stop = new AbortController()
  readonly #clients: Promise<void>[] = []
  #requests = 0

  constructor(parts: LoadParts) {
    this.#parts = parts
  }

  /** Every answer so far. */
  get answers(): readonly Answer[] {
    return this.#answers
  }

  /** Requests that were made, repeats not counted. */
  get requests(): number {
    return this.#requests
  }

  /** Sets the clients to work. */
  start(): void {
    const { clients, random } = this.#parts
    for (let number = 0; number < clients; number += 1) this.#clients.push(this.#work(random.fork(), number))
  }

  /** Lets the clients end the request they are at. @throws what a client threw */
  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#clients)
  }

  async #work(random: Random, number: number): Promise<void> {
    for (let round = 0; !this.#stop.signal.aborted; round += 1) {
      const request = `crash-${number}-${round}`
      this.#requests += 1
      if (this.#parts.faults) this.#sow(random)
      const body = this.#bodyOf(random, request)
      let answer = await this.#ask(random, number, request, body)
      // Whoever lost an answer asks again, here or at the other gateway: it must not pay again.
      for (let again = 0; again < 2 && wasLost(answer) && random.chance(0.6); again += 1) {
        await pause(random.between(10, 250))
        if (this.#stop.signal.aborted) break
        answer = await this.#ask(random, number + again + 1, request, body)
      }
      await pause(answer.status === 402 ? random.between(200, 600) : random.between(0, 150))
    }
  }

  /** The unique words keep bodies apart: equal ones would be one request by the rules of idempotency. */
  #bodyOf(random: Random, request: string): string {
    const model = random.pick(['official/m', 'official/m', 'stream/m', 'stream/m', 'v1/m'])
    const stream = random.chance(0.5)
    return JSON.stringify({
      model,
      stream,
      messages: [{ role: 'user', content: `Count the tolls of ${request}.` }],
    })
  }

  async #ask(random: Random, prefer: number, request: string, body: string): Promise<Answer> {
    const target = await this.#someTarget(prefer)
    const leaving =
      this.#parts.faults && random.chance(0.06) ? AbortSignal.timeout(random.between(20, 900)) : undefined
    const signals = [AbortSignal.timeout(30_000), ...(leaving ? [leaving] : [])]
    let told: Omit<Answer, 'request' | 'left'> = LOST
    target.inFlight += 1
    try {
      const response = await fetch(`${target.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-request-id': request },
        body,
        signal: AbortSignal.any(signals),
      })
      told = {
        ...LOST,
        spent: response.headers.get('x-tollway-spent') ?? undefined,
        charge: response.headers.get('x-tollway-charge') ?? undefined,
      }
      const text = await response.text()
      told = { ...told, status: response.status, code: /"code":"(\w+)"/.exec(text)?.[1] }
    } catch {
      // The gateway died or the client left: `told` holds what was heard.
    } finally {
      target.inFlight -= 1
    }
    const answer = { request, left: leaving?.aborted === true, ...told }
    this.#answers.push(answer)
    return answer
  }

  async #someTarget(prefer: number): Promise<Target> {
    const { targets } = this.#parts
    for (;;) {
      const order = targets.map((_, index) => targets[(index + prefer) % targets.length])
      const found = order.find((target) => target?.url !== undefined)
      if (found) return found
      await Promise.race(targets.map((target) => target.up()))
    }
  }

  /** Puts a fault in the way of somebody's next payment. */
  #sow(random: Random): void {
    const { world, modelFaults } = this.#parts
    const { settle } = world.facilitator.faults
    if (settle.length < 4) settle.push(...settlementFault(random))
    if (modelFaults.length === 0 && random.chance(0.06)) {
      modelFaults.push(random.chance(0.6) ? { status: 500 } : { cutAfterChunks: random.between(0, 3) })
    }
    // To the atom means more when the amounts differ; they stay within what the policy lets prices drift.
    for (const seller of [world.seller, world.streamingSeller, world.v1Seller]) {
      if (random.chance(0.02)) seller.setPrice(`$0.00${random.between(1_000, 1_150)}`)
    }
  }
}

const LOST = { status: undefined, code: undefined, spent: undefined, charge: undefined }

function wasLost(answer: Answer): boolean {
  return answer.status === undefined && !answer.left
}

function settlementFault(random: Random): FacilitatorFault[] {
  const roll = random.next()
  if (roll < 0.5) return [{ delayMs: random.between(50, 1_500) }]
  if (roll < 0.55) return [{ status: 500, afterwards: true }]
  if (roll < 0.58) return [{ status: 500 }]
  if (roll < 0.6) return [{ hang: true }]
  if (roll < 0.63) return [{ delayMs: FACILITATOR_TIMEOUT_MS + random.between(100, 1_500) }]
  return []
}
