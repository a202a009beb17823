import { setTimeout as pause } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { Part } from './child.ts'
import { GatewayFacts } from './facts.ts'
import { interleave, timed } from './interleave.ts'
import { round, type Result } from './result.ts'
import { EventReader, startSlowSeller } from './slow-seller.ts'

const STREAMS = 1000
/** Streams that go straight to the seller meanwhile: what they meet is not the gateway's. */
const CONTROLS = 100
/** Arrivals a second: few enough that the gateway keeps up with them beside everything else on two cores. */
const ARRIVALS_PER_SECOND = 40
/** How long all of them are under way before anything is looked at, and again between the first event and the last look. */
const SETTLE_MS = 3000
const WARM_UP_STREAMS = 50
const ROUNDS = 10
const PROBES = 5

const BODY = JSON.stringify({ model: 'paid/m', messages: [{ role: 'user', content: 'hi' }], stream: true })

/**
 * Many slow streams at once through one gateway process, each with one event a second. Once all are under way: how long
 * an event is under way from the seller's write to the client's read, how long a further stream takes to its first event
 * (both beside the same straight to the seller), and the gateway's memory. None may be dropped and no event lost.
 *
 * The seller and the clients share this process. The route is a paid one whose seller asks for nothing: the whole chain
 * and the re-streamer run, and only the payment does not.
 */
export async function measureSlowStreams(): Promise<NonNullable<Result['slowStreams']>> {
  const seller = await startSlowSeller()
  const upstream = `${seller.url}/v1`
  const gateway = await Part.start(
    new URL('gateway-process.ts', import.meta.url),
    { seller: upstream, upstream },
    GatewayFacts,
  )
  const agent = new Agent({ headersTimeout: 0, bodyTimeout: 0 })
  const urls = {
    direct: `${upstream}/chat/completions`,
    tollway: `${gateway.facts.url}/v1/chat/completions`,
  }
  const open = (url: string, count: number): Promise<Stream[]> => arrive(url, count, agent)
  try {
    const warm = await open(urls.tollway, WARM_UP_STREAMS)
    seller.endAll()
    await allEnded(warm)
    const before = { live: await gateway.ask('live'), rss: await gateway.ask('rss') }

    const controls = await open(urls.direct, CONTROLS)
    const streams = await open(urls.tollway, STREAMS)
    await pause(SETTLE_MS)
    const first = await interleave(ROUNDS, (way) => timed(PROBES, () => firstEvent(urls[way], agent)))
    await pause(SETTLE_MS)
    const lagMs = { direct: controls.map(newestLag), tollway: streams.map(newestLag) }
    const during = { rss: await gateway.ask('rss'), live: await gateway.ask('live') }

    seller.endAll()
    await allEnded([...controls, ...streams])
    return {
      streams: STREAMS,
      events: streams.reduce((sum, { reader }) => sum + reader.count, 0),
      dropped: streams.filter(({ reader }) => !reader.isWhole || !reader.isInOrder).length,
      firstEventMs: first.map(({ direct, tollway }) => ({
        direct: direct.map(round),
        tollway: tollway.map(round),
      })),
      lagMs,
      liveBytes: { before: before.live, during: during.live },
      rssBytes: { before: before.rss, during: during.rss },
    }
  } finally {
    await agent.destroy()
    await gateway.close()
    await seller.close()
  }
}

/** A stream as its client sees it. */
interface Stream {
  readonly reader: EventReader
  /** Settles when its first event is there. */
  readonly begun: Promise<void>
  /** Settles when it is over, however it ended. */
  readonly over: Promise<void>
}

/** Opens streams one after the other at the pace of arrivals, and waits for the first event of each. */
async function arrive(url: string, count: number, agent: Agent): Promise<Stream[]> {
  const startedAt = performance.now()
  const streams: Stream[] = []
  for (let index = 0; index < count; index += 1) {
    const early = startedAt + (index * 1000) / ARRIVALS_PER_SECOND - performance.now()
    if (early > 0) await pause(early)
    streams.push(openStream(url, agent))
  }
  await Promise.all(streams.map(({ begun }) => begun))
  return streams
}

function openStream(url: string, agent: Agent, leaving?: AbortSignal): Stream {
  const reader = new EventReader()
  const begun = Promise.withResolvers<void>()
  const read = async (): Promise<void> => {
    const { body, statusCode } = await request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: BODY,
      dispatcher: agent,
      signal: leaving ?? null,
    })
    if (statusCode !== 200) throw new Error(`a stream was answered with ${statusCode}`)
    for await (const chunk of body) {
      reader.push(String(chunk))
      if (reader.count > 0) begun.resolve()
    }
  }
  // What broke is told by the reader: it is not whole.
  const over = read()
    .catch((error: unknown) => {
      if (leaving?.aborted !== true) console.error(error)
    })
    .finally(() => begun.resolve())
  return { reader, begun: begun.promise, over }
}

/** Opens one more stream, and leaves when its first event is there. */
async function firstEvent(url: string, agent: Agent): Promise<void> {
  const leaving = new AbortController()
  const { begun, over, reader } = openStream(url, agent, leaving.signal)
  await begun
  if (reader.count === 0) throw new Error('a stream ended before its first event')
  leaving.abort()
  await over
}

async function allEnded(streams: readonly Stream[]): Promise<void> {
  await Promise.all(streams.map(({ over }) => over))
}

function newestLag({ reader }: Stream): number {
  return round(reader.lagMs)
}
