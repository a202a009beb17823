import type { Observer, TollwayEvent } from '../../core/telemetry/events.ts'

/** Tells observers of an event. One that throws must not turn a paid answer into an error, which the client would retry. */
export function notify(observers: readonly Observer[], event: TollwayEvent): void {
  for (const observer of observers) {
    try {
      observer(event)
    } catch {
      // openParts() wraps observers so that they log their own failures.
    }
  }
}
