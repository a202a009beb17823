import { findNetwork } from '../../core/money/assets.ts'
import { describeSkew } from '../../core/telemetry/clock-skew.ts'
import type { Log } from '../../core/log.ts'
import type { Observer } from '../../core/telemetry/events.ts'

/** Warns once when another clock and ours differ, and again when they differ after having agreed. */
export function clockLog(log: Log): Observer {
  const differing = new Set<string>()
  return (event) => {
    if (event.type !== 'clock_skew') return
    const { source, seconds } = event
    const whose = findNetwork(source) ? `that of ${findNetwork(source)?.alias}` : "the seller's"
    const skew = describeSkew(seconds, whose)
    if (skew === undefined) differing.delete(source)
    else if (!differing.has(source)) {
      differing.add(source)
      log.warn(
        { source, seconds },
        `${skew}: payments may be refused as expired or not yet valid; set the clock (timedatectl set-ntp true)`,
      )
    }
  }
}
