/** Sellers that break HTTP, or bend it: nothing crashes, nothing hangs, nothing is paid twice, no payment goes elsewhere. */
import type { Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { cash } from '../../providers/cash.ts'
import { ask as askGateway, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { challengeV1, challengeV2, encodeHeader, receiptV2 } from '../kit/seller-answers.ts'
import { offerV1, offerV2 } from '../kit/quotes.ts'
import { dribble, raw, startRawSeller, type RawSeller } from '../kit/raw-seller.ts'

type Script = (socket: Socket, head: string) => void

/** Scripts that only a time limit of ours ends. */
const ENDLESS = new WeakSet<Script>()
function endless(script: Script): Script {
  ENDLESS.add(script)
  return script
}

let seller: RawSeller
let elsewhere: RawSeller
let tollway: TestGateway
/** Waits for a seller as long as {@link SHORT} says. */
let impatient: TestGateway
let probe: Script
let paid: Script

const OFFER = challengeV2([offerV2])
/** So long that none ends by itself. A test hangs when what should end a request does not. */
const LONG = { connect_seconds: 600, first_byte_seconds: 600, idle_seconds: 600, total_seconds: 600 }
/** For sellers that only a time limit ends. The unpaid question must be answered within it on any machine. */
const SHORT = { ...LONG, first_byte_seconds: 3, idle_seconds: 3, total_seconds: 6 }

const offered: Script = (socket) =>
  socket.write(raw(402, { ...OFFER.headers, 'content-length': '2' }, OFFER.body))
const JSON_HEADERS = { 'content-type': 'application/json', ...receiptV2({ success: true }) }
const SSE_HEADERS = { 'content-type': 'text/event-stream', ...receiptV2({ success: true }) }
const COMPLETION = '{"choices":[{"message":{"content":"hi"}}]}'
const CHUNK = `data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, delta: { content: 'hi' }, finish_reason: null }] })}\n\n`
const chunked = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`

beforeAll(async () => {
  seller = await startRawSeller((socket, { head, isPaid }) => (isPaid ? paid : probe)(socket, head))
  elsewhere = await startRawSeller((socket) => socket.end(raw(200, { 'content-length': '0' })))
  process.env['TRANSPORT_WALLET'] = `0x${'11'.repeat(32)}`
  tollway = await gatewayWith(seller.apiBase, LONG)
  impatient = await gatewayWith(seller.apiBase, SHORT)
})

async function gatewayWith(apiBase: string, timeouts: object): Promise<TestGateway> {
  return await startGateway(
    {
      payers: { base: { kind: 'direct', key: '${env:TRANSPORT_WALLET}', networks: ['base-sepolia'] } },
      model_list: [{ model_name: 'paid/*', model: '*', api_base: apiBase, payer: 'base' }],
      budgets: [{ name: 'all', limit_usd: '1.00', window: 'lifetime' }],
      timeouts,
    },
    { payers: new Map([['base', cash()]]) },
  )
}

afterAll(async () => {
  await tollway?.close()
  await impatient?.close()
  await seller?.close()
  await elsewhere?.close()
})

beforeEach(() => {
  probe = offered
  paid = () => undefined
})

let asked = 0
const asking = (): TestGateway => (ENDLESS.has(probe) || ENDLESS.has(paid) ? impatient : tollway)
const ask = (more: object = {}): Promise<Response> =>
  askGateway(asking().url, { model: 'paid/m', seed: (asked += 1), ...more })
const newest = async (): Promise<unknown> => {
  const [charge] = await asking().gateway.parts.ledger.store.charges({ limit: 1 })
  return [charge?.state, charge?.reason]
}
const payments = (): number => seller.heads.filter((head) => /^payment-signature:/im.test(head)).length

/** Made ahead: it takes longer than a gateway waits. */
const bomb = gzipSync(Buffer.alloc(50_000_000, ' '))

describe('a probe', () => {
  const broken: [string, Script][] = [
    ['that is never answered', endless(() => undefined)],
    [
      'whose headers come a byte at a time',
      endless((socket) => {
        socket.write('HTTP/1.1 402 X\r\n')
        dribble(socket, 'x', 50)
      }),
    ],
    [
      'whose 402 body never ends',
      endless((socket) => {
        socket.write(raw(402, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' }))
        dribble(socket, chunked(' '), 50)
      }),
    ],
    [
      'whose 402 body stops in the middle',
      endless((socket) => socket.write(raw(402, { 'content-length': '100' }, '{"x402Version":1'))),
    ],
    [
      'whose 402 body breaks off',
      (socket) => socket.end(raw(402, { 'content-length': '100' }, '{"x402Version":1')),
    ],
    [
      'with broken chunking',
      (socket) => socket.write(raw(402, { 'transfer-encoding': 'chunked' }, 'zz\r\nnonsense\r\n')),
    ],
    [
      'with a header bomb',
      (socket) => socket.write(raw(402, { ...OFFER.headers, 'x-bomb': 'x'.repeat(200_000) })),
    ],
    [
      'with a thousand headers of a kilobyte',
      (socket) => socket.write(`HTTP/1.1 402 X\r\n${`x-bomb: ${'x'.repeat(1000)}\r\n`.repeat(1000)}\r\n`),
    ],
    ['answered with nonsense', (socket) => socket.end('\u0000\u0001nonsense\r\n\r\n')],
    [
      'answered with two lengths',
      (socket) => socket.write('HTTP/1.1 402 X\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}'),
    ],
    ['cut at once', (socket) => socket.destroy()],
  ]

  test.each(broken)('%s: 503, nothing paid, and an end', async (_what, script) => {
    probe = script
    const before = payments()
    const answer = await ask()
    expect([answer.status, answer.headers.get('x-tollway-spent')]).toEqual([503, 'no'])
    expect((await errorOf(answer)).code).toBe('seller_unavailable')
    expect(payments()).toBe(before)
  })

  const undecodable: [string, Script][] = [
    [
      'a gzip bomb',
      (socket) => {
        socket.write(raw(402, { 'content-encoding': 'gzip', 'content-length': String(bomb.length) }))
        socket.write(bomb)
      },
    ],
    [
      'bytes that are no UTF-8',
      (socket) => {
        const body = Buffer.concat([
          Buffer.from('{"x402Version":1,"accepts":'),
          Buffer.from([0xff, 0xfe, 0x80]),
          Buffer.from('}'),
        ])
        socket.write(raw(402, { 'content-length': String(body.length) }))
        socket.write(body)
      },
    ],
    ['an empty body', (socket) => socket.write(raw(402, { 'content-length': '0' }))],
  ]

  test.each(undecodable)('402 with %s: not understood, nothing paid', async (_what, script) => {
    probe = script
    const answer = await ask()
    const { code } = await errorOf(answer)
    expect(answer.status).toBe(400)
    expect(['offer_undecodable', 'offer_too_large']).toContain(code)
  })

  test.each([301, 302, 303, 307, 308])('redirected with %i is not followed', async (status) => {
    for (const location of [`${elsewhere.url}/v1/chat/completions`, '/elsewhere']) {
      probe = (socket) => socket.write(raw(status, { location, 'content-length': '0' }))
      const before = seller.heads.length
      expect((await ask()).status).toBe(503)
      expect([seller.heads.length - before, elsewhere.heads.length]).toEqual([1, 0])
    }
  })
})

describe('a paid request', () => {
  const unanswered: [string, Script, string][] = [
    ['that is never answered', endless(() => undefined), 'timeout'],
    [
      'whose headers come a byte at a time',
      endless((socket) => {
        socket.write('HTTP/1.1 200 X\r\n')
        dribble(socket, 'x', 50)
      }),
      'timeout',
    ],
    [
      'with a header bomb',
      (socket) => socket.write(raw(200, { 'x-bomb': 'x'.repeat(200_000) })),
      'malformed',
    ],
    ['answered with nonsense', (socket) => socket.end('\u0000nonsense\r\n\r\n'), 'malformed'],
    ['cut at once', (socket) => socket.destroy(), 'reset'],
  ]

  test.each(unanswered)(
    '%s: uncertain, counted, and no client tries again',
    async (_what, script, reason) => {
      paid = script
      const before = payments()
      const answer = await ask({ stream: true })
      expect([answer.status, answer.headers.get('x-tollway-spent')]).toEqual([400, 'unknown'])
      expect(answer.headers.get('x-should-retry')).toBe('false')
      expect((await errorOf(answer)).code).toBe('payment_uncertain')
      expect(await newest()).toEqual(['uncertain', reason])
      expect(payments() - before).toBe(1)
    },
  )

  test.each([301, 302, 303, 307, 308])(
    'redirected with %i goes nowhere else, on no origin',
    async (status) => {
      for (const location of [`${elsewhere.url}/v1/chat/completions`, '/elsewhere']) {
        paid = (socket) => socket.write(raw(status, { location, 'content-length': '0' }))
        const before = seller.heads.length
        const answer = await ask()
        expect([answer.status, (await errorOf(answer)).code]).toEqual([400, 'seller_error'])
        expect(answer.headers.get('location')).toBeNull()
        expect([seller.heads.length - before, elsewhere.heads.length]).toEqual([2, 0])
      }
    },
  )

  const lost: [string, Script][] = [
    [
      'stops in the middle',
      endless((socket) => socket.write(raw(200, { ...JSON_HEADERS, 'content-length': '100' }, '{"a":'))),
    ],
    ['breaks off', (socket) => socket.end(raw(200, { ...JSON_HEADERS, 'content-length': '100' }, '{"a":'))],
    [
      'has broken chunking',
      (socket) =>
        socket.write(raw(200, { ...JSON_HEADERS, 'transfer-encoding': 'chunked' }, '4\r\n{"a"\r\nzz\r\n')),
    ],
    [
      'never ends',
      endless((socket) => {
        socket.write(raw(200, { ...JSON_HEADERS, 'transfer-encoding': 'chunked' }))
        dribble(socket, chunked(' '), 50)
      }),
    ],
  ]

  test.each(lost)('whose JSON %s: settled, told as paid and not delivered', async (_what, script) => {
    paid = script
    const answer = await ask()
    expect([answer.status, answer.headers.get('x-tollway-spent')]).toEqual([400, 'yes'])
    expect((await errorOf(answer)).code).toBe('paid_not_delivered')
    expect(await newest()).toEqual(['settled', 'receipt'])
  })

  const cut: [string, Script][] = [
    [
      'goes silent',
      endless((socket) =>
        socket.write(raw(200, { ...SSE_HEADERS, 'transfer-encoding': 'chunked' }, chunked(CHUNK))),
      ),
    ],
    [
      'breaks off',
      (socket) => socket.end(raw(200, { ...SSE_HEADERS, 'transfer-encoding': 'chunked' }, chunked(CHUNK))),
    ],
    [
      'has broken chunking',
      (socket) =>
        socket.write(raw(200, { ...SSE_HEADERS, 'transfer-encoding': 'chunked' }, `${chunked(CHUNK)}zz\r\n`)),
    ],
    [
      'never ends',
      endless((socket) => {
        socket.write(raw(200, { ...SSE_HEADERS, 'transfer-encoding': 'chunked' }, chunked(CHUNK)))
        dribble(socket, chunked(': still there\n\n'), 50)
      }),
    ],
  ]

  test.each(cut)('whose stream %s: ends as a truncated answer', async (_what, script) => {
    paid = script
    const answer = await ask({ stream: true })
    expect([answer.status, answer.headers.get('x-tollway-spent')]).toEqual([200, 'yes'])
    const text = await answer.text()
    expect(text).toContain('"content":"hi"')
    expect(text).toContain('"finish_reason":"length"')
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
    expect(await newest()).toEqual(['settled', 'receipt'])
  })

  test.each(['application/json', 'text/event-stream'])(
    'answered with a gzip bomb as %s: paid and not delivered, never blown up here or at the client',
    async (type) => {
      paid = (socket) => {
        const headers = {
          'content-type': type,
          'content-encoding': 'gzip',
          'content-length': String(bomb.length),
        }
        socket.write(raw(200, { ...headers, ...receiptV2({ success: true }) }))
        socket.write(bomb)
      }
      const before = process.memoryUsage().rss
      const answer = await fetch(`${tollway.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'paid/m', seed: (asked += 1) }),
      })
      expect([answer.status, (await errorOf(answer)).code]).toEqual([400, 'paid_not_delivered'])
      expect(process.memoryUsage().rss - before).toBeLessThan(40_000_000)
      expect(await newest()).toEqual(['settled', 'receipt'])
    },
  )

  test('answered with bytes that are no UTF-8: they pass as they are', async () => {
    const body = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff, 0xc0, 0x80]), Buffer.from('"}')])
    paid = (socket) => {
      socket.write(raw(200, { ...JSON_HEADERS, 'content-length': String(body.length) }))
      socket.write(body)
    }
    expect(Buffer.from(await (await ask()).arrayBuffer())).toEqual(body)
    const events = Buffer.concat([
      Buffer.from('data: {"choices":[{"index":0,"delta":{"content":"'),
      Buffer.from([0xff, 0xc0]),
      Buffer.from('"}}]}\n\ndata: '),
      Buffer.from([0xff, 0xc0]),
      Buffer.from('\n\ndata: [DONE]\n\n'),
    ])
    paid = (socket) => {
      socket.write(raw(200, { ...SSE_HEADERS, 'content-length': String(events.length) }))
      socket.write(events)
    }
    expect(Buffer.from(await (await ask({ stream: true })).arrayBuffer())).toEqual(events)
  })

  test('answered 200 with the body of a 402: spent on an assumed proof, and not paid again', async () => {
    const body = challengeV1([offerV1]).body
    paid = (socket) =>
      socket.write(
        raw(
          200,
          { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) },
          body,
        ),
      )
    const before = payments()
    const twice = { seed: 'the same' }
    const answer = await ask(twice)
    expect([answer.status, (await errorOf(answer)).code]).toEqual([400, 'paid_not_delivered'])
    expect((await errorOf(await ask(twice))).code).toBe('paid_not_delivered')
    expect(answer.headers.get('x-tollway-seller-message')).toBe('X-PAYMENT header is required')
    expect(answer.headers.get('x-tollway-spent')).toBe('yes')
    expect(await newest()).toEqual(['settled', 'answered_without_receipt'])
    expect(payments() - before).toBe(1)
  })
})

describe('each time limit holds by itself', () => {
  const silent: Script = () => undefined
  const firstChunk: Script = (socket) =>
    socket.write(raw(200, { ...SSE_HEADERS, 'transfer-encoding': 'chunked' }, chunked(CHUNK)))
  const unending: Script = (socket, head) => {
    firstChunk(socket, head)
    dribble(socket, chunked(': still there\n\n'), 50)
  }
  const limits: [string, object, Script, [number, string]][] = [
    // A TLS handshake that nobody answers: the connection is there, and is of no use.
    ['connect_seconds', { connect_seconds: 0.4 }, silent, [503, 'seller_unavailable']],
    ['first_byte_seconds', { first_byte_seconds: 3 }, silent, [400, 'payment_uncertain']],
    ['idle_seconds', { idle_seconds: 3 }, firstChunk, [200, 'length']],
    ['total_seconds', { total_seconds: 6 }, unending, [200, 'length']],
  ]

  test.each(limits)('%s', async (name, limit, script, [status, outcome]) => {
    paid = script
    const apiBase = name === 'connect_seconds' ? seller.apiBase.replace('http:', 'https:') : seller.apiBase
    const own = await gatewayWith(apiBase, { ...LONG, ...limit })
    try {
      const answer = await askGateway(own.url, { model: 'paid/m', stream: true })
      expect(answer.status).toBe(status)
      expect(await answer.text()).toContain(`"${outcome}"`)
    } finally {
      await own.close()
    }
  })
})

describe('a receipt', () => {
  const receipts: [string, Record<string, string>, [string, string]][] = [
    [
      'of failure on a 200',
      receiptV2({ success: false, errorReason: 'no' }),
      ['settled', 'answered_without_receipt'],
    ],
    ['that is no base64', { 'payment-response': '***' }, ['settled', 'answered_without_receipt']],
    ['whose success is a string', receiptV2({ success: 'true' }), ['settled', 'answered_without_receipt']],
    [
      'of 70 kB',
      { 'payment-response': encodeHeader({ success: true, x: 'x'.repeat(70_000) }) },
      ['settled', 'answered_without_receipt'],
    ],
    [
      'with a transaction that is none',
      receiptV2({ success: true, transaction: '<script>' }),
      ['settled', 'receipt'],
    ],
    [
      'of another payer and network',
      receiptV2({ success: true, payer: '0x1', network: 'eip155:1' }),
      ['settled', 'receipt'],
    ],
  ]

  test.each(receipts)(
    '%s changes nothing but what it proves, and reaches nobody',
    async (_what, headers, expected) => {
      paid = (socket) =>
        socket.write(
          raw(200, { ...JSON_HEADERS, ...headers, 'content-length': String(COMPLETION.length) }, COMPLETION),
        )
      const answer = await ask()
      expect([answer.status, answer.headers.get('x-tollway-spent')]).toEqual([200, 'yes'])
      expect(answer.headers.get('payment-response')).toBeNull()
      expect(answer.headers.get('x-tollway-transaction')).toBeNull()
      expect(answer.headers.get('x-tollway-cost-usd')).toBe('0.001')
      expect(await newest()).toEqual(expected)
    },
  )
})
