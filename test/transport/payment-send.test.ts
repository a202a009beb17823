/** The send of a request that carries a payment: once, on a connection of its own, and told apart when nothing left. */
import { once } from 'node:events'
import { constants } from 'node:http2'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createServer as createTlsServer } from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createUpstream, readBounded, type OutgoingRequest } from '../../src/io/transport/upstream.ts'
import { UpstreamError } from '../../src/io/transport/upstream-error.ts'
import { raw, startRawSeller } from '../kit/raw-seller.ts'
import { CERTIFICATE, startH2Seller, trustCertificate, type H2Request } from '../kit/tls-seller.ts'

/** So long that none ends by itself: a test whose subject is a time limit sets its own. */
const TIMEOUTS = { connectMs: 120_000, firstByteMs: 120_000, totalMs: 240_000 }

const ends: (() => unknown)[] = []
let forget = (): void => undefined
beforeAll(() => {
  forget = trustCertificate()
})
afterAll(() => forget())
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

function transport() {
  const upstream = createUpstream(TIMEOUTS)
  ends.push(() => upstream.close())
  return upstream
}

function payment(url: string, changes: Partial<OutgoingRequest> = {}): OutgoingRequest {
  const headers = { 'payment-signature': 'signed', 'content-type': 'application/json' }
  return {
    method: 'POST',
    url,
    headers,
    body: Buffer.from('{"model":"m"}'),
    carriesPayment: true,
    ...changes,
  }
}

/** Sends a payment. @returns status and body, or the failure with what is proven */
async function pay(url: string, changes: Partial<OutgoingRequest> = {}): Promise<string> {
  try {
    const answer = await transport().send(payment(url, changes))
    return `${answer.status} ${(await readBounded(answer.body, 1_000, 1_000)).bytes.toString()}`
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error
    return `${error.reason} ${error.isUnsent ? 'unsent' : 'sent'}`
  }
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  ends.push(() => server.close())
  return (server.address() as AddressInfo).port
}

describe('a payment that never left', () => {
  it('rule 4: is proven unsent when the connection is refused', async () => {
    const server = createServer()
    const port = await listen(server)
    server.close()
    await once(server, 'close')
    expect(await pay(`http://127.0.0.1:${port}/`)).toBe('connect unsent')
  })

  it('rule 4: is proven unsent when the name is not found', async () => {
    expect(await pay('http://seller.invalid/')).toBe('connect unsent')
  })

  it('rule 4: is proven unsent when the certificate is not trusted, or for another name', async () => {
    const port = await listen(createTlsServer(CERTIFICATE, (socket) => socket.on('error', () => {})))
    expect(await pay(`https://ip6-localhost:${port}/`)).toBe('connect unsent')
    forget()
    expect(await pay(`https://localhost:${port}/`)).toBe('connect unsent')
    forget = trustCertificate()
  })

  it.each([
    ['closes before its hello', (socket: Socket) => socket.end()],
    ['resets', (socket: Socket) => socket.resetAndDestroy()],
    ['speaks something else', (socket: Socket) => socket.write('SSH-2.0-x\r\n')],
  ])('rule 4: is proven unsent when a TLS seller %s', async (_name, act) => {
    const sockets: Socket[] = []
    const port = await listen(
      createServer((socket) => {
        sockets.push(socket.on('error', () => {}))
        act(socket)
      }),
    )
    expect(await pay(`https://localhost:${port}/`)).toBe('connect unsent')
    for (const socket of sockets) socket.destroy()
  })

  it('rule 4: is proven unsent when a TLS seller never says hello', async () => {
    const sockets: Socket[] = []
    const port = await listen(createServer((socket) => void sockets.push(socket)))
    const timeouts = { connectMs: 300 }
    expect(await pay(`https://localhost:${port}/`, { timeouts })).toBe('connect unsent')
    for (const socket of sockets) socket.destroy()
  })

  it('rule 4: is proven unsent when the time of the request is over before the connection is there', async () => {
    const sockets: Socket[] = []
    const port = await listen(createServer((socket) => void sockets.push(socket)))
    const timeouts = { connectMs: 5_000, totalMs: 50 }
    expect(await pay(`https://localhost:${port}/`, { timeouts })).toBe('timeout unsent')
    for (const socket of sockets) socket.destroy()
  })

  it.each([
    ['resets after the head', (socket: Socket) => socket.resetAndDestroy(), 'reset sent'],
    ['closes after the head', (socket: Socket) => socket.end(), 'reset sent'],
    ['answers no HTTP', (socket: Socket) => socket.end('SSH-2.0-x\r\n'), 'malformed sent'],
    ['stays silent', () => undefined, 'timeout sent'],
  ])('rule 4: counts as sent when the seller %s', async (_name, act, outcome) => {
    const seller = await startRawSeller(act)
    ends.push(() => seller.close())
    // Only silence is ended by this limit; the others have ended long before.
    expect(await pay(seller.url, { timeouts: { firstByteMs: 3_000 } })).toBe(outcome)
    expect(seller.heads).toHaveLength(1)
  })

  it('rule 4: counts as sent when a seller resets without reading', async () => {
    const port = await listen(
      createServer({ pauseOnConnect: true }, (socket) => {
        socket.on('error', () => {})
        setImmediate(() => socket.resetAndDestroy())
      }),
    )
    const outcomes = new Set<string>()
    for (let n = 0; n < 20; n++) outcomes.add(await pay(`http://127.0.0.1:${port}/`))
    for (const outcome of outcomes) expect(['reset sent', 'connect unsent']).toContain(outcome)
  })
})

describe('the connection of a payment', () => {
  it('is not one that carried the question', async () => {
    const sockets: Socket[] = []
    const seller = await startRawSeller((socket, { isPaid }) => {
      sockets.push(socket)
      socket.write(raw(isPaid ? 200 : 402, { 'content-length': '2', 'keep-alive': 'timeout=60' }, '{}'))
    })
    ends.push(() => seller.close())
    const upstream = transport()
    for (let n = 0; n < 3; n++) {
      const asked = await upstream.send(payment(seller.url, { headers: {}, carriesPayment: false }))
      await readBounded(asked.body, 100, 60_000)
      const answer = await upstream.send(payment(seller.url))
      await readBounded(answer.body, 100, 60_000)
    }
    // One connection asks, each payment has its own.
    expect(new Set(sockets.filter((_socket, at) => at % 2 === 0)).size).toBe(1)
    expect(new Set(sockets).size).toBe(4)
  })

  it('is opened ahead, and closed when there is nothing to pay', async () => {
    const port = await listen(createServer((socket) => void connected.push(socket)))
    const connected: Socket[] = []
    const url = `http://127.0.0.1:${port}/`
    const line = transport().openLine?.(payment(url))
    await expect.poll(() => connected.length).toBe(1)
    const [socket] = connected
    const closed = socket && once(socket.resume(), 'close')
    line?.close()
    await closed
  })

  it.each([
    ['closed', (socket: Socket) => socket.end()],
    ['reset', (socket: Socket) => socket.resetAndDestroy()],
    ['answered before it was asked', (socket: Socket) => socket.write(raw(408, { 'content-length': '0' }))],
  ])('is opened anew when the seller has %s the one that was ready', async (_name, spoil) => {
    const connected: Socket[] = []
    const port = await listen(
      createServer((socket) => {
        connected.push(socket.on('error', () => {}))
        socket.on('data', () => socket.end(raw(200, { 'content-length': '2' }, 'ok')))
      }),
    )
    const url = `http://127.0.0.1:${port}/`
    const upstream = transport()
    const line = upstream.openLine?.(payment(url))
    await expect.poll(() => connected.length).toBe(1)
    const [first] = connected
    if (first) spoil(first)
    // What was sent over the loopback device is there at once: the client sees it in its next turn.
    for (let turn = 0; turn < 10; turn++) await nextTurn()
    const answer = await upstream.send(payment(url, { line }))
    expect((await readBounded(answer.body, 100, 60_000)).bytes.toString()).toBe('ok')
    expect(connected).toHaveLength(2)
    first?.destroy()
  })

  it('is closed once its answer is read', async () => {
    const sockets: Socket[] = []
    const seller = await startRawSeller((socket) => {
      sockets.push(socket)
      socket.write(raw(200, { 'content-length': '2' }, '{}'))
    })
    ends.push(() => seller.close())
    const answer = await transport().send(payment(seller.url))
    await readBounded(answer.body, 100, 60_000)
    const [socket] = sockets
    if (socket && !socket.destroyed) await once(socket, 'close')
  })
})

describe('an interim answer that nobody asked for', () => {
  const answer = raw(200, { 'content-length': '6' }, 'answer')

  it.each<[string, readonly string[]]>([
    ['100 Continue', ['HTTP/1.1 100 Continue\r\n\r\n', answer]],
    ['100 Continue together with the answer', [`HTTP/1.1 100 Continue\r\n\r\n${answer}`]],
    [
      '100 Continue in pieces',
      ['HTTP/1.1 1', '00 Continue\r\nserver: x\r\n', `\r\n${answer.slice(0, 5)}`, answer.slice(5)],
    ],
    ['100 Continue three times', ['HTTP/1.1 100 Continue\r\n\r\n'.repeat(3), answer]],
    ['100 of HTTP/1.0 without words', ['HTTP/1.0 100\r\n\r\n', answer]],
    ['102 Processing', ['HTTP/1.1 102 Processing\r\n\r\n', answer]],
    ['103 Early Hints', ['HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n', answer]],
  ])('is passed over: %s', async (_name, pieces) => {
    const seller = await startRawSeller((socket) => {
      const writeOn = ([piece, ...rest]: readonly string[]): void => {
        if (piece !== undefined) socket.write(piece, () => setImmediate(writeOn, rest))
      }
      writeOn(pieces)
    })
    ends.push(() => seller.close())
    const upstream = transport()
    for (const carriesPayment of [false, true]) {
      for (let n = 0; n < 2; n++) {
        const sent = await upstream.send(payment(seller.url, { carriesPayment }))
        expect((await readBounded(sent.body, 100, 1_000)).bytes.toString()).toBe('answer')
      }
    }
    expect(seller.heads).toHaveLength(4)
  })

  it('stays in a body that looks like one', async () => {
    const text = 'HTTP/1.1 100 Continue\r\n\r\n'
    const seller = await startRawSeller((socket) => {
      socket.write(raw(200, { 'content-length': String(text.length) }), () =>
        setImmediate(() => socket.write(text)),
      )
    })
    ends.push(() => seller.close())
    expect(await pay(seller.url)).toBe(`200 ${text}`)
  })

  it('without an end counts as sent, like every answer that breaks off', async () => {
    const seller = await startRawSeller((socket) => socket.end('HTTP/1.1 100 Contin'))
    ends.push(() => seller.close())
    expect(await pay(seller.url)).toBe('reset sent')
  })
})

const { NGHTTP2_REFUSED_STREAM, NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_NO_ERROR } = constants

describe('a payment over HTTP/2', () => {
  it.each<[string, (request: H2Request) => void]>([
    ['refuses the stream', ({ stream }) => stream.close(NGHTTP2_REFUSED_STREAM)],
    ['cancels the stream', ({ stream }) => stream.close(NGHTTP2_CANCEL)],
    ['wants calm', ({ stream }) => stream.close(NGHTTP2_ENHANCE_YOUR_CALM)],
    ['says GOAWAY before the stream', ({ session }) => session.goaway(NGHTTP2_NO_ERROR, 0)],
    ['says GOAWAY with an error', ({ session }) => session.goaway(NGHTTP2_ENHANCE_YOUR_CALM, 0)],
    [
      'says GOAWAY and closes',
      ({ session }) => {
        session.goaway(NGHTTP2_NO_ERROR, 0)
        session.destroy()
      },
    ],
    ['closes the session', ({ session }) => session.destroy()],
    ['ends the stream without an answer', ({ stream }) => stream.destroy()],
  ])('rule 5: leaves once when the seller %s', async (_name, act) => {
    const seller = await startH2Seller(act)
    ends.push(() => seller.close())
    const outcome = await pay(seller.url, { timeouts: { firstByteMs: 3_000 } })
    expect(['reset sent', 'timeout sent']).toContain(outcome)
    expect(seller.requests.filter(({ isPaid }) => isPaid)).toHaveLength(1)
  })

  it('rule 5: leaves once when a graceful GOAWAY comes beside the answer', async () => {
    const seller = await startH2Seller(({ stream, session }) => {
      session.goaway(NGHTTP2_NO_ERROR, 2 ** 31 - 1)
      stream.respond({ ':status': 200 })
      stream.end('answer')
    })
    ends.push(() => seller.close())
    expect(await pay(seller.url)).toBe('200 answer')
    expect(seller.requests).toHaveLength(1)
  })

  it('reads an answer with trailers', async () => {
    const seller = await startH2Seller(({ stream }) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-checksum': 'abc' }))
      stream.end('answer')
    })
    ends.push(() => seller.close())
    expect(await pay(seller.url)).toBe('200 answer')
  })

  it.each([1, 2])(
    'sends 20 at once to a seller that takes %i streams per connection, each once',
    async (most) => {
      const seller = await startH2Seller(
        ({ stream }) => {
          stream.respond({ ':status': 200 })
          stream.end('answer')
        },
        { settings: { maxConcurrentStreams: most } },
      )
      ends.push(() => seller.close())
      const upstream = transport()
      const answers = await Promise.all(
        Array.from({ length: 20 }, async () => {
          const answer = await upstream.send(payment(seller.url))
          await readBounded(answer.body, 100, 60_000)
          return answer.status
        }),
      )
      expect(answers).toEqual(Array(20).fill(200))
      expect(seller.requests).toHaveLength(20)
    },
  )

  it('uses the connection that was opened ahead', async () => {
    let sessions = 0
    const seller = await startH2Seller(({ stream }) => {
      stream.respond({ ':status': 200 })
      stream.end('answer')
    })
    ends.push(() => seller.close())
    seller.server.on('session', () => {
      sessions += 1
    })
    const upstream = transport()
    const line = upstream.openLine?.(payment(seller.url))
    await expect.poll(() => sessions).toBe(1)
    const answer = await upstream.send(payment(seller.url, { line }))
    expect((await readBounded(answer.body, 100, 60_000)).bytes.toString()).toBe('answer')
    expect(sessions).toBe(1)
  })
})
