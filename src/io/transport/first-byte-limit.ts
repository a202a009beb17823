/**
 * The time between a request and its answer. undici's own limit restarts with every interim response (`102 Processing`), so that
 * a seller could hold a paid call for as long as it likes.
 */
import type { Dispatcher } from 'undici'
import type { Timers } from '../../core/timers.ts'
import type { Deadline } from './deadline.ts'

/** One request's limit: it begins when the request is handed to the connection, once. */
export class FirstByteLimit {
  readonly #ms: number
  readonly #timers: Timers
  readonly #deadline: Deadline
  #cancel: (() => void) | undefined
  #isWhole = false

  /** @param deadline aborted with a `TimeoutError` when the time is up */
  constructor(ms: number, timers: Timers, deadline: Deadline) {
    this.#ms = ms
    this.#timers = timers
    this.#deadline = deadline
  }

  /** Starts the time with the request. */
  readonly intercept: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) =>
    dispatch(options, {
      onRequestStart: (controller, context) => {
        this.#cancel ??= this.#timers.after(this.#ms, () => {
          this.#deadline.abort(new DOMException(`no answer within ${this.#ms} ms`, 'TimeoutError'))
        })
        handler.onRequestStart?.(controller, context)
      },
      onResponseStart: (...args) => handler.onResponseStart?.(...args),
      onResponseData: (...args) => handler.onResponseData?.(...args),
      onResponseEnd: (...args) => {
        handler.onResponseEnd?.(...args)
        this.#isWhole = true
      },
      onResponseError: (...args) => handler.onResponseError?.(...args),
    })

  /** Whether the last byte of the answer has come. */
  get isWhole(): boolean {
    return this.#isWhole
  }

  /** The answer is here, or no longer awaited. */
  end(): void {
    this.#cancel?.()
  }
}
