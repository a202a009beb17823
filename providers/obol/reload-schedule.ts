/** Runs reloads one after another: on request, and at an interval. */
import type { Timers } from '../../src/core/timers.ts'

/** What {@link ReloadSchedule} works with. */
export interface ReloadScheduleContext<T> {
  readonly load: (reason: string) => Promise<T>
  /** Milliseconds between two automatic reloads; 0 turns them off. */
  readonly intervalMs: number
  readonly timers: Timers
}

/** At most one load runs and at most one waits. */
export class ReloadSchedule<T> {
  readonly #context: ReloadScheduleContext<T>
  #loading: Promise<T> | undefined
  #pending: Promise<T> | undefined
  #cancel: (() => void) | undefined
  #closed = false

  constructor(context: ReloadScheduleContext<T>) {
    this.#context = context
  }

  /** Schedules the next automatic reload. */
  start(): void {
    const { intervalMs, timers } = this.#context
    if (intervalMs === 0 || this.#closed) return
    this.#cancel = timers.after(intervalMs, () => {
      this.reload('ticker')
        .done.catch(() => undefined)
        .finally(() => this.start())
    })
  }

  /**
   * Loads again after the load that is running. A call joins a load that already waits.
   * @returns whether one was already waiting, and its result
   */
  reload(reason: string): { readonly pending: boolean; readonly done: Promise<T> } {
    if (this.#pending) return { pending: true, done: this.#pending }
    const done = (this.#loading ?? Promise.resolve()).then(
      () => this.#begin(reason),
      () => this.#begin(reason),
    )
    this.#pending = done
    return { pending: false, done }
  }

  /** Stops the automatic reloads and waits for those under way. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancel?.()
    await this.#pending?.catch(() => undefined)
    await this.#loading?.catch(() => undefined)
  }

  #begin(reason: string): Promise<T> {
    this.#pending = undefined
    const loading = this.#context.load(reason).finally(() => {
      if (this.#loading === loading) this.#loading = undefined
    })
    this.#loading = loading
    return loading
  }
}
