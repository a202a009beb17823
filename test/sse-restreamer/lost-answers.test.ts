/** A client that learns that its paid answer is lost may ask again at another gateway: the ledger must know before the client does. */
import type { ServerResponse } from 'node:http'
import { afterEach, expect, test, vi } from 'vitest'
import { ask, settledCharge, startWorld, type World, type WorldOptions } from '../kit/relay-world.ts'
import { stubRun } from '../kit/stub-run.ts'

const EVENT = 'data: {"id":"c","choices":[{"index":0,"delta":{"content":"hello"},"finish_reason":null}]}\n\n'
const JSON_START =
  '{"choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]'

let world: World
afterEach(() => world.close())

/** What happened to the client's response, in order: `lost`, pieces of the body, `end`, `cut`. */
async function order(options: Partial<WorldOptions>): Promise<string[]> {
  const happened: string[] = []
  const run = stubRun(() => happened.push('lost'))
  const watch = (response: ServerResponse): void => {
    vi.spyOn(response, 'write').mockImplementation((bytes: unknown) => {
      happened.push(String(bytes))
      return true
    })
    for (const [method, name] of [
      ['end', 'end'],
      ['destroy', 'cut'],
    ] as const) {
      const original = response[method].bind(response) as () => ServerResponse
      vi.spyOn(response, method).mockImplementation(() => {
        happened.push(name)
        return original()
      })
    }
  }
  world = await startWorld({
    kind: 'paid',
    seller: () => undefined,
    onResponse: watch,
    ...options,
    exchange: { ...options.exchange, payment: { run, charge: settledCharge } },
  })
  const answer = await ask(world.url).catch(() => undefined)
  await answer?.end()
  return happened
}

/** Sends a part of an answer and cuts the connection. */
const breaks =
  (type: string, text: string, size: number): WorldOptions['seller'] =>
  (_request, response) => {
    response.writeHead(200, { 'content-type': type })
    response.write(text.padEnd(size), () => response.destroy())
  }
const streams = { request: { stream: true, body: Buffer.from('{}') } }
const wantsJson = { request: { stream: false, body: Buffer.from('{}') } }
const small = { maxJsonBytes: 100 }

test.each<[string, Partial<WorldOptions>, last: string]>([
  ['a stream that breaks off', { seller: breaks('text/event-stream', EVENT, 0), exchange: streams }, 'end'],
  [
    'a stream that breaks off, for a client that wants JSON',
    { seller: breaks('text/event-stream', EVENT, 0), exchange: wantsJson },
    'end',
  ],
  [
    'JSON that breaks off after it was begun',
    {
      seller: breaks('application/json', JSON_START, 5_000),
      exchange: wantsJson,
      restreamer: small,
    },
    'cut',
  ],
  [
    'JSON that is too large to become a stream and breaks off',
    { seller: breaks('application/json', JSON_START, 5_000), exchange: streams, restreamer: small },
    'cut',
  ],
])('rule 5: the ledger knows of %s before the client does', async (_what, options, last) => {
  const happened = await order(options)
  const lost = happened.indexOf('lost')
  const before = happened.slice(0, lost).join('')
  expect(lost).toBeGreaterThanOrEqual(0)
  expect(before).not.toMatch(/DONE|finish_reason":"(?:stop|length)"}\]}|end|cut/)
  expect(happened.slice(lost)).toContain(last)
})

test('an answer that arrives whole is not called lost', async () => {
  const whole: WorldOptions['seller'] = (_request, response) =>
    response.writeHead(200, { 'content-type': 'text/event-stream' }).end(`${EVENT}data: [DONE]\n\n`)
  expect(await order({ seller: whole, exchange: streams })).not.toContain('lost')
})
