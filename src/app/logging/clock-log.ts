import { describeSkew } from '../../core/telemetry/clock-skew.ts'
import type { Log } from '../../core/log.ts'
import type { Observer } from '../../core/telemetry/events.ts'

/** Warns once when a seller's clock and ours differ, and again when they differed anew. */
export function clockLog(log: Log): Observer {
  const differing = new Set<string>()
  return (event) => {
    if (event.type !== 'clock_skew') return
    const { seller, seconds } = event
    const told = describeSkew(seconds)
    if (told === undefined) differing.delete(seller)
    else if (!differing.has(seller)) {
      differing.add(seller)
      log.warn(
        { seller, seconds },
        `${told}: payments may be refused as expired or not yet valid; set the clock (timedatectl set-ntp true)`,
      )
    }
  }
}
