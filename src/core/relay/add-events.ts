import type { ByteSink } from '../stream/byte-sink.ts'
import type { CostSplicer } from '../stream/cost-splicer.ts'
import { eventText, type StreamEvent } from '../stream/stream-json.ts'

/**
 * Adds events of ours to the output.
 * @param splicer sets the cost in each of them; `undefined` for none
 */
export function addEvents(
  events: readonly StreamEvent[],
  out: ByteSink,
  splicer: ((isRead: boolean) => CostSplicer | undefined) | undefined,
): void {
  for (const event of events) {
    const text = Buffer.from(eventText(event))
    const start = event.data === '[DONE]' ? -1 : text.indexOf('{')
    const splice = start < 0 ? undefined : splicer?.(true)
    if (!splice) out.add(text)
    else {
      out.add(text.subarray(0, start))
      out.add(splice.push(text.subarray(start)))
    }
  }
}
