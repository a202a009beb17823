/**
 * Group commit: everything of one kind that is asked for while a transaction runs shares the next one. Each piece of work gets its
 * own outcome. When a shared transaction fails, each is done again in one of its own, so that one cannot fail the others.
 */
import { TollwayError } from '../../../../core/errors.ts'
import { isLost } from './errors.ts'

/** What became of one piece of work in a shared transaction. */
export type Outcome<T> = { readonly value: T } | { readonly thrown: unknown }

/** The outcome of work. */
export function outcomeOf<T>(work: () => T): Outcome<T> {
  try {
    return { value: work() }
  } catch (thrown) {
    return { thrown }
  }
}

/** The value of an outcome. @throws what its work threw */
export function valueOf<T>(outcome: Outcome<T> | undefined): T {
  if (!outcome) throw new Error('a piece of work has no outcome')
  if ('thrown' in outcome) throw outcome.thrown
  return outcome.value
}

/** The most that share a transaction: each holds a few locks of the server until it ends. */
const MAX_BATCH = 128

interface Options<J, T> {
  /** One transaction; the outcomes are in the order of the work. When it rejects, nothing was written. */
  readonly transact: (work: readonly J[]) => Promise<readonly Outcome<T>[]>
  /** No two pieces of work with a name in common share a transaction. */
  readonly namesOf: (work: J) => readonly string[]
  /** Only work of one group shares a transaction. */
  readonly groupOf?: ((work: J) => string) | undefined
  /** How long a piece of work waits for its turn, milliseconds. */
  readonly queueMs: number
}

interface Waiting<J, T> {
  readonly work: J
  /** `performance.now()` */
  readonly until: number
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
}

/** Work of one kind. */
export class Lane<J, T> {
  readonly #options: Options<J, T>
  #waiting: Waiting<J, T>[] = []
  #isRunning = false
  #timer: NodeJS.Timeout | undefined

  constructor(options: Options<J, T>) {
    this.#options = options
  }

  /** @throws TollwayError `store_unavailable` when its turn does not come in time; nothing was written then */
  run(work: J): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const { queueMs } = this.#options
      this.#waiting.push({ work, until: performance.now() + queueMs, resolve, reject })
      this.#timer ??= setTimeout(() => this.#expire(), queueMs)
      if (this.#isRunning) return
      this.#isRunning = true
      setImmediate(() => void this.#turns())
    })
  }

  async #turns(): Promise<void> {
    while (this.#waiting.length > 0) await this.#transact(this.#next())
    this.#isRunning = false
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #next(): Waiting<J, T>[] {
    const { namesOf, groupOf } = this.#options
    const names = new Set<string>()
    const [batch, later]: [Waiting<J, T>[], Waiting<J, T>[]] = [[], []]
    const group = this.#waiting[0] && groupOf?.(this.#waiting[0].work)
    for (const each of this.#waiting) {
      const own = namesOf(each.work)
      const isNext =
        batch.length < MAX_BATCH && groupOf?.(each.work) === group && !own.some((name) => names.has(name))
      // What waits keeps its names, so that work with one name is done in its order.
      for (const name of own) names.add(name)
      ;(isNext ? batch : later).push(each)
    }
    this.#waiting = later
    return batch
  }

  async #transact(batch: readonly Waiting<J, T>[]): Promise<void> {
    try {
      const outcomes = await this.#options.transact(batch.map(({ work }) => work))
      for (const [index, { resolve, reject }] of batch.entries()) {
        const outcome = outcomes[index]
        if (outcome && 'value' in outcome) resolve(outcome.value)
        else reject(outcome?.thrown)
      }
    } catch (error) {
      if (batch.length === 1 || isLost(error)) {
        for (const { reject } of batch) reject(error)
        return
      }
      // Beside the next shared transaction: one that waits for a lock does not hold up the others.
      for (const each of batch) void this.#transact([each])
    }
  }

  #expire(): void {
    const now = performance.now()
    const late = this.#waiting.filter(({ until }) => until <= now)
    this.#waiting = this.#waiting.filter(({ until }) => until > now)
    for (const { reject } of late) reject(tooLate())
    const [oldest] = this.#waiting
    this.#timer = oldest && setTimeout(() => this.#expire(), oldest.until - now)
  }
}

function tooLate(): TollwayError {
  return new TollwayError({
    code: 'store_unavailable',
    message: "The ledger's database is slow: what was asked for before is not done yet. Nothing was paid.",
  })
}
