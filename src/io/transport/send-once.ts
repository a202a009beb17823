/** undici repeats a request by itself over HTTP/2 (REFUSED_STREAM, GOAWAY). One that carries a payment leaves once (rule 5). */
import type { Dispatcher } from 'undici'

/** Whether undici was allowed to begin to write the request. Until then not one byte of it was handed to a socket. */
export interface HandOver {
  isHandedOver: boolean
}

/** The seller refused what was sent, and undici would have sent it again. */
export class SentOnceError extends Error {
  override readonly name = 'SentOnceError'

  constructor() {
    super('the seller refused the request after it was sent, and a request with a payment is not sent again')
  }
}

/** Lets one attempt pass, notes it, and ends the request where another would begin. */
export function sendOnce(handOver: HandOver): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) => dispatch(options, new OnceHandler(handler, handOver))
}

class OnceHandler implements Dispatcher.DispatchHandler {
  readonly #next: Dispatcher.DispatchHandler
  readonly #handOver: HandOver

  constructor(next: Dispatcher.DispatchHandler, handOver: HandOver) {
    this.#next = next
    this.#handOver = handOver
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    if (this.#handOver.isHandedOver) return controller.abort(new SentOnceError())
    this.#next.onRequestStart?.(controller, context)
    // The request may have been given up while it waited: then nothing is written.
    this.#handOver.isHandedOver = !controller.aborted
  }

  onResponseStart(...args: Parameters<NonNullable<Dispatcher.DispatchHandler['onResponseStart']>>): void {
    this.#next.onResponseStart?.(...args)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#next.onResponseData?.(controller, chunk)
  }

  onResponseEnd(...args: Parameters<NonNullable<Dispatcher.DispatchHandler['onResponseEnd']>>): void {
    this.#next.onResponseEnd?.(...args)
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    this.#next.onResponseError?.(controller, error)
  }
}
