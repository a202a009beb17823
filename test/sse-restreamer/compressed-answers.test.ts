/** Answers in every coding that sellers send although they are asked for none: alone, several on top of each other, and falsely named. */
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, describe, expect, test } from 'vitest'
import { ask, startWorld, type World } from '../kit/relay-world.ts'

const worlds: World[] = []

afterEach(async () => {
  for (const started of worlds.splice(0)) await started.close()
})

const ANSWER = JSON.stringify({
  choices: [{ index: 0, message: { role: 'assistant', content: 'é'.repeat(5000) }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 },
})
const EVENTS = [
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'é'.repeat(5000) }, finish_reason: 'stop' }] })}\n\n`,
  `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 } })}\n\n`,
  'data: [DONE]\n\n',
].join('')
const USAGE = { inputTokens: 3, outputTokens: 4 }

interface Sent {
  readonly kind?: 'paid' | 'unpaid'
  readonly stream?: boolean
  readonly coding: string
  readonly bytes: Buffer
  /** Bytes in one write. */
  readonly piece?: number
}

async function relayed({ kind = 'paid', stream = false, coding, bytes, piece = 1000 }: Sent) {
  const world = await startWorld({
    kind,
    exchange: { request: { stream, body: Buffer.from('{}') } },
    seller: (_request, response) => {
      response.writeHead(200, {
        'content-type': stream ? 'text/event-stream' : 'application/json',
        'content-encoding': coding,
      })
      for (let at = 0; at < bytes.length; at += piece) response.write(bytes.subarray(at, at + piece))
      response.end()
    },
  })
  worlds.push(world)
  const answer = await ask(world.url)
  await answer.end()
  return { answer, world }
}

type Coder = (bytes: Buffer) => Buffer
const raw: Coder = (bytes) => deflateRawSync(bytes)
const zlib: Coder = (bytes) => deflateSync(bytes)
const gzip: Coder = (bytes) => gzipSync(bytes)
const br: Coder = (bytes) => brotliCompressSync(bytes)
const zstd: Coder = (bytes) => zstdCompressSync(bytes)

function applied(coders: readonly Coder[], text: string): Buffer {
  return coders.reduce<Buffer>((bytes, coder) => coder(bytes), Buffer.from(text))
}

const CODINGS: readonly (readonly [string, readonly Coder[]])[] = [
  ['deflate', [raw]],
  ['deflate', [zlib]],
  ['deflate', [gzip]],
  ['gzip', [zlib]],
  ['gzip, br', [gzip, br]],
  ['BR ,GZIP', [br, gzip]],
  ['deflate, zstd, gzip', [raw, zstd, gzip]],
  ['deflate, deflate', [raw, raw]],
  ['identity, x-gzip', [gzip]],
  // Proxies that decode a body and keep its header.
  ['gzip', []],
  ['zstd', []],
  ['gzip, gzip', [gzip]],
]

describe.each(CODINGS)('%s', (coding, coders) => {
  const encoded = (text: string): Buffer => applied(coders, text)

  test('is decoded for a paid answer, in pieces of any size', async () => {
    for (const piece of [7, 1000]) {
      const { answer, world } = await relayed({ coding, bytes: encoded(ANSWER), piece })
      expect(answer.message.statusCode).toBe(200)
      expect(answer.message.headers['content-encoding']).toBeUndefined()
      expect(answer.bytes.toString()).toBe(
        ANSWER.replace('"total_tokens":7', '"total_tokens":7,"cost":0.001'),
      )
      expect(world.exchange().relay.usage).toEqual(USAGE)
    }
  })

  test('is decoded for a paid stream', async () => {
    const { answer, world } = await relayed({ coding, bytes: encoded(EVENTS), stream: true })
    expect(answer.bytes.toString().replace(',"cost":0.001', '')).toBe(EVENTS)
    expect(world.exchange().relay).toMatchObject({ usage: USAGE, truncated: false })
  })

  test('passes unchanged on an unpaid route, and its usage is read', async () => {
    const bytes = encoded(ANSWER)
    const { answer, world } = await relayed({ kind: 'unpaid', coding, bytes })
    expect(answer.bytes.equals(bytes)).toBe(true)
    expect(world.exchange().relay.usage).toEqual(USAGE)
  })
})

describe('what cannot be decoded within bounds', () => {
  const zeros = Buffer.alloc(4 * 1024 * 1024)
  test.each<[string, string, Buffer]>([
    ['four codings', 'gzip, gzip, gzip, gzip', applied([gzip, gzip, gzip, gzip], ANSWER)],
    ['an unknown one', 'gzip, compress', gzip(Buffer.from(ANSWER))],
    ['a bomb in two codings', 'gzip, gzip', gzip(gzip(zeros))],
    ['a raw bomb', 'deflate', raw(zeros)],
    [
      'many empty members',
      'gzip, gzip',
      gzip(Buffer.concat(Array.from({ length: 60_000 }, () => gzip(Buffer.alloc(0))))),
    ],
    ['a cut one', 'gzip, br', br(gzip(Buffer.from(ANSWER)).subarray(0, 60))],
    ['junk', 'deflate', Buffer.from('\u0006\u0007 no deflate at all')],
  ])('is told as paid and not delivered: %s', async (_name, coding, bytes) => {
    const { answer } = await relayed({ coding, bytes, piece: 65_536 })
    expect(answer.message.statusCode).toBe(400)
    expect(JSON.parse(answer.bytes.toString())).toMatchObject({ error: { code: 'paid_not_delivered' } })
  })
})
