/** Reads the seller's body under an idle watchdog. One object for a whole body: a promise and a timer only where it has to wait. */
import { Readable } from 'node:stream'
import type { Reply } from '../../src/core/request/exchange.ts'
import type { Timers } from '../../src/core/timers.ts'
import { hasArrived } from '../../src/io/transport/arrival.ts'

/** The body was silent for too long. */
export class BodyIdleError extends Error {
  override readonly name = 'BodyIdleError'
}

/** Closes a body that is not read, or not read to its end. */
export function abandon(body: Reply['body']): void {
  // It ends by itself; to close it before it has said so would close its connection, which can be used again.
  if (isReadWhole(body)) return
  // Destroying a body early makes it emit an error; without a listener that would end the process.
  if (body instanceof Readable) body.on('error', () => {})
  body.destroy()
}

/** How a body is watched. */
export interface BodyWatch {
  /** Longest silence of the body, milliseconds; time spent waiting for the client does not count. */
  readonly idleMs: number
  readonly timers: Timers
  /** Ends the reading at once: the body simply ends. */
  readonly stop: AbortSignal
}

/** Where bytes come from: those that are there, `undefined` at the end, or a promise of either. */
type Source = () => Uint8Array | undefined | Promise<Uint8Array | undefined>

/** One body, read once. It is closed at its end, when it breaks, and when the reading is stopped. */
export class BodyReader {
  readonly #body: Reply['body']
  readonly #watch: BodyWatch
  readonly #source: Source

  constructor(body: Reply['body'], watch: BodyWatch) {
    this.#body = body
    this.#watch = watch
    this.#source = body instanceof Readable ? streamSource(body) : iteratorSource(body)
  }

  /**
   * The next bytes.
   * @returns `undefined` at the end, or when the reading was stopped
   * @throws BodyIdleError after too long a silence, or the error of the body
   */
  async read(): Promise<Uint8Array | undefined> {
    try {
      const step = this.#watch.stop.aborted ? undefined : this.#source()
      const chunk = step instanceof Promise ? await this.#within(step) : step
      if (chunk === undefined) abandon(this.#body)
      return chunk
    } catch (error) {
      this.#body.destroy()
      throw error
    }
  }

  /** @returns `undefined` if the reading was stopped */
  #within(step: Promise<Uint8Array | undefined>): Promise<Uint8Array | undefined> {
    const { idleMs, timers, stop } = this.#watch
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void): void => {
        cancel()
        stop.removeEventListener('abort', stopped)
        settle()
      }
      const stopped = (): void => finish(() => resolve(undefined))
      const cancel = timers.after(idleMs, () =>
        finish(() => reject(new BodyIdleError(`the body was silent for ${idleMs} ms`))),
      )
      stop.addEventListener('abort', stopped)
      step.then(
        (chunk) => finish(() => resolve(chunk)),
        (error: unknown) => finish(() => reject(error instanceof Error ? error : new Error(String(error)))),
      )
    })
  }
}

/** Whether all of it has come and was read, even if it has not said so yet. */
function isReadWhole(body: Reply['body']): boolean {
  return body instanceof Readable && body.readableLength === 0 && hasArrived(body)
}

function iteratorSource(body: Reply['body']): Source {
  const iterator = body[Symbol.asyncIterator]()
  return async () => {
    const step = await iterator.next()
    return step.done === true ? undefined : step.value
  }
}

/** As the iterator of a stream reads it, but what has arrived is taken at once, in one piece. */
function streamSource(body: Readable): Source {
  let fault: unknown
  let isClosed = body.closed
  let wake: (() => void) | undefined
  const changed = (): void => {
    wake?.()
    wake = undefined
  }
  body.on('readable', changed)
  body.on('end', changed)
  // Destroying a body early makes it emit an error; without a listener that would end the process.
  body.on('error', (error: unknown) => {
    fault ??= error
    changed()
  })
  body.on('close', () => {
    isClosed = true
    changed()
  })
  const take = (): Uint8Array | undefined | 'nothing yet' => {
    const chunk: unknown = body.destroyed ? null : body.read()
    if (chunk instanceof Uint8Array) return chunk
    if (fault !== undefined) throw fault
    if (body.readableEnded || isReadWhole(body)) return undefined
    if (isClosed) throw body.errored ?? new Error('the body was closed before its end')
    return 'nothing yet'
  }
  const wait = async (): Promise<Uint8Array | undefined> => {
    for (;;) {
      await new Promise<void>((resolve) => (wake = resolve))
      const taken = take()
      if (taken !== 'nothing yet') return taken
    }
  }
  return () => {
    const taken = take()
    return taken === 'nothing yet' ? wait() : taken
  }
}
