import type { Log } from '../../core/log.ts'
import type { Observer } from '../../core/telemetry/events.ts'

/** Logs once when a model list (a seller's or the default upstream's) becomes unreadable, and once when it is readable again. */
export function catalogueLog(log: Log): Observer {
  const failing = new Set<string>()
  return (event) => {
    if (event.type !== 'catalogue') return
    const { seller, ok, models } = event
    if (ok) {
      if (failing.delete(seller)) log.warn({ seller, models }, 'the list of models can be read again')
    } else if (!failing.has(seller)) {
      failing.add(seller)
      log.warn(
        { seller, models },
        'could not read the list of models; the last list is kept, and requests are served as before',
      )
    }
  }
}
