import { interleave, type Way } from './interleave.ts'
import { round, type Result } from './result.ts'

/** Events of one stream, beside its `[DONE]`. */
export const STREAM_EVENTS = 64
/** What the upstream waits between two events, milliseconds. */
export const GAP_MS = 5

const ROUNDS = 6
const STREAMS = 4
const WARM_UP_STREAMS = 2

interface Arrivals {
  firstEventMs: number[]
  gapsMs: number[]
}

/** An unpaid stream: when its first event is there, and how far apart the events arrive. */
export async function measureStream(upstream: string, gateway: string): Promise<Result['stream']> {
  const urls: Record<Way, string> = {
    direct: `${upstream}/completions`,
    tollway: `${gateway}/v1/completions`,
  }
  await receive(urls.direct, WARM_UP_STREAMS)
  await receive(urls.tollway, WARM_UP_STREAMS)
  return await interleave(ROUNDS, (way) => receive(urls[way], STREAMS))
}

async function receive(url: string, streams: number): Promise<Arrivals> {
  const arrivals: Arrivals = { firstEventMs: [], gapsMs: [] }
  for (let index = 0; index < streams; index += 1) {
    const times = await eventTimes(url)
    if (times.length !== STREAM_EVENTS + 1)
      throw new Error(`${times.length} events came, not ${STREAM_EVENTS + 1}`)
    arrivals.firstEventMs.push(round(times[0] ?? 0))
    // The [DONE] follows the last event at once: its gap says nothing.
    for (let at = 1; at < STREAM_EVENTS; at += 1) {
      arrivals.gapsMs.push(round((times[at] ?? 0) - (times[at - 1] ?? 0)))
    }
  }
  return arrivals
}

/** When each event was there, in milliseconds since the request was sent. */
async function eventTimes(url: string): Promise<number[]> {
  const startedAt = performance.now()
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'local', prompt: 'Go on.', stream: true }),
  })
  if (!response.ok || !response.body) throw new Error(`a stream was answered with ${response.status}`)
  const times: number[] = []
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body) {
    const now = performance.now() - startedAt
    text += decoder.decode(chunk, { stream: true })
    const events = text.split('\n\n')
    text = events.pop() ?? ''
    times.push(...events.map(() => now))
  }
  return times
}
