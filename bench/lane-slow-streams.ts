/**
 * `node bench/lane-slow-streams.ts [streams] [seconds]`: many slow streams at once through one gateway process, each
 * with one event a second. None may be dropped; what is told is the gateway's memory per stream and how much later the
 * first event comes than without it. Loopback only; the seller and the clients share this process, the gateway has its
 * own. The route is a paid one whose seller asks for nothing, so that the whole chain and the re-streamer run and only
 * the payment does not. Raw figures: bench/results/slow-streams-*.json.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import { cpus } from 'node:os'
import { Agent, request } from 'undici'
import { Part } from './child.ts'
import { GatewayFacts } from './facts.ts'
import { round } from './result.ts'

const RESULTS = new URL('results/', import.meta.url)
const BODY = JSON.stringify({ model: 'paid/m', messages: [{ role: 'user', content: 'hi' }], stream: true })
const EVENT = `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 7, model: 'm', choices: [{ index: 0, delta: { content: 'word ' }, finish_reason: null }] })}\n\n`
const LAST = `${EVENT.replace('null', '"stop"')}data: [DONE]\n\n`
/** Clients come over this time, as they do in life. */
const ARRIVAL_MS = 10_000

/** One stream as its client saw it. */
interface Seen {
  readonly firstMs: number
  readonly events: number
  readonly whole: boolean
}

const [streams = 1000, seconds = 15] = process.argv.slice(2).map(Number)
console.log(await main())

async function main(): Promise<string> {
  const seller = createServer((req, res) => {
    req.resume()
    req.on('end', () => speak(res))
  })
  await new Promise<void>((resolve) => seller.listen(0, '127.0.0.1', 4096, resolve))
  const address = seller.address()
  if (typeof address !== 'object' || address === null) throw new Error('the seller is not listening')
  const base = `http://127.0.0.1:${address.port}`
  const input = { seller: `${base}/v1`, upstream: `${base}/v1` }
  const gateway = await Part.start(new URL('gateway-process.ts', import.meta.url), input, GatewayFacts)
  const agent = new Agent({ connections: null, headersTimeout: 0, bodyTimeout: 0 })
  try {
    const direct = await lane(`${base}/v1/chat/completions`, agent, async () => {})
    // A warm-up, so that what is counted is streams and not code being loaded.
    await Promise.all(
      Array.from({ length: 20 }, () => receive(`${gateway.facts.url}/v1/chat/completions`, agent)),
    )
    const before = await gateway.ask('rss')
    let during = 0
    const through = await lane(`${gateway.facts.url}/v1/chat/completions`, agent, async () => {
      during = await gateway.ask('rss')
    })
    return await save(direct, through, before, during)
  } finally {
    await agent.destroy()
    await gateway.close()
    seller.closeAllConnections()
    seller.close()
  }
}

function speak(res: ServerResponse): void {
  res.writeHead(200, { 'content-type': 'text/event-stream' })
  let left = seconds
  const say = (): void => {
    left -= 1
    if (left <= 0) return void res.end(LAST)
    res.write(EVENT)
    setTimeout(say, 1000)
  }
  say()
}

/** @param look called when every stream is under way */
async function lane(url: string, agent: Agent, look: () => Promise<void>): Promise<Seen[]> {
  const all = Array.from({ length: streams }, async (_stream, index) => {
    await pause((index * ARRIVAL_MS) / streams)
    return await receive(url, agent)
  })
  await pause(ARRIVAL_MS + (seconds * 1000 - ARRIVAL_MS) / 2)
  await look()
  return await Promise.all(all)
}

async function receive(url: string, agent: Agent): Promise<Seen> {
  const startedAt = performance.now()
  let firstMs = Number.NaN
  let text = ''
  try {
    const { body, statusCode } = await request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: BODY,
      dispatcher: agent,
    })
    for await (const chunk of body) {
      if (Number.isNaN(firstMs)) firstMs = performance.now() - startedAt
      text += String(chunk)
    }
    const events = text.split('\n\n').filter((part) => part.startsWith('data: {')).length
    return { firstMs: round(firstMs), events, whole: statusCode === 200 && text.endsWith('data: [DONE]\n\n') }
  } catch {
    return { firstMs: round(firstMs), events: 0, whole: false }
  }
}

async function save(direct: Seen[], through: Seen[], before: number, during: number): Promise<string> {
  const figures = {
    date: new Date().toISOString().slice(0, 10),
    node: process.versions.node,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    streams,
    seconds,
    dropped: through.filter(({ whole, events }) => !whole || events !== seconds).length,
    droppedDirect: direct.filter(({ whole, events }) => !whole || events !== seconds).length,
    rssBeforeBytes: before,
    rssDuringBytes: during,
    directFirstMs: direct.map(({ firstMs }) => firstMs),
    tollwayFirstMs: through.map(({ firstMs }) => firstMs),
  }
  await mkdir(RESULTS, { recursive: true })
  const name = `slow-streams-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.json`
  await writeFile(new URL(name, RESULTS), `${JSON.stringify(figures)}\n`)
  const added = median(figures.tollwayFirstMs) - median(figures.directFirstMs)
  return [
    `${streams} streams of ${seconds} events, one a second, on one gateway process`,
    `dropped          ${figures.dropped} (${figures.droppedDirect} without Tollway)`,
    `memory           ${Math.round((during - before) / streams / 1024)} KiB per stream (${Math.round(during / 2 ** 20)} MiB in all)`,
    `first event      ${median(figures.tollwayFirstMs).toFixed(1)} ms, ${added.toFixed(1)} ms more than without (medians)`,
    `raw figures      bench/results/${name}`,
  ].join('\n')
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
