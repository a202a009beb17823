/** The bound on a whole exchange. It leaves nothing behind when the exchange ends first. */

/** A running bound. */
export interface Deadline {
  /** Aborts when the time is up, or with the signal given. */
  readonly signal: AbortSignal
  /** Aborts it before. */
  abort(reason: Error): void
  /** Stops the clock and forgets the signal given. Call it when the exchange has ended. */
  end(): void
}

/**
 * `AbortSignal.timeout` combined by `AbortSignal.any` keeps both signals and a timer until the time is up, however soon
 * the exchange ends: with the default of one hour that held 1 KB per request for an hour.
 * @param ms milliseconds until `signal` aborts with a `TimeoutError`
 * @param other aborts `signal` as well, with its own reason
 */
export function startDeadline(ms: number, other: AbortSignal | undefined): Deadline {
  const controller = new AbortController()
  const follow = (): void => controller.abort(other?.reason)
  const timer = setTimeout(() => controller.abort(timeoutError(ms)), ms)
  // A bound alone must not keep a process alive: what it bounds does.
  timer.unref()
  if (other?.aborted) follow()
  else other?.addEventListener('abort', follow, { once: true })
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    end() {
      clearTimeout(timer)
      other?.removeEventListener('abort', follow)
    },
  }
}

function timeoutError(ms: number): DOMException {
  return new DOMException(`the exchange took more than ${ms} ms`, 'TimeoutError')
}
