import type { Log } from '../../core/log.ts'
import type { Observer } from '../../core/telemetry/events.ts'

/** Logs once when a seller's list of models cannot be read, and once when it can again. */
export function catalogueLog(log: Log): Observer {
  const failing = new Set<string>()
  return (event) => {
    if (event.type !== 'catalogue') return
    const { seller, ok, models } = event
    if (ok) {
      if (failing.delete(seller))
        log.warn({ seller, models }, "the seller's list of models can be read again")
    } else if (!failing.has(seller)) {
      failing.add(seller)
      log.warn(
        { seller, models },
        "could not read the seller's list of models; the last list is kept, and its routes keep serving",
      )
    }
  }
}
