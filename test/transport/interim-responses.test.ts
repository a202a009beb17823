/** Interim responses (1xx) before an answer: read over, and silence for the limit of the first byte. */
import { Socket } from 'node:net'
import * as fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { withoutInterimResponses } from '../../src/io/transport/interim-responses.ts'
import { UpstreamError } from '../../src/io/transport/upstream-error.ts'
import { createUpstream, readBounded, type Upstream } from '../../src/io/transport/upstream.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { raw, startRawSeller } from '../kit/raw-seller.ts'
import { startH2Seller, trustCertificate } from '../kit/tls-seller.ts'

const FIRST_BYTE_MS = 54_321
const TIMEOUTS = { connectMs: 60_000, firstByteMs: FIRST_BYTE_MS, totalMs: 600_000 }
const STATUSES = [100, 102, 103, 199] as const

const ends: (() => unknown)[] = []
let forget = (): void => undefined
beforeAll(() => {
  forget = trustCertificate()
})
afterAll(() => forget())
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

function transport(): { upstream: Upstream; timers: ManualTimers } {
  const timers = new ManualTimers()
  const upstream = createUpstream(TIMEOUTS, { timers })
  ends.push(() => upstream.close())
  return { upstream, timers }
}

async function send(upstream: Upstream, url: string, carriesPayment: boolean): Promise<string> {
  try {
    const headers = carriesPayment ? { 'payment-signature': 'signed' } : {}
    const answer = await upstream.send({
      method: 'POST',
      url,
      headers,
      body: Buffer.from('{}'),
      carriesPayment,
    })
    return `${answer.status} ${(await readBounded(answer.body, 1_000, 60_000)).bytes.toString()}`
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error
    return `${error.reason} ${error.isUnsent ? 'unsent' : 'sent'}`
  }
}

const interim = fc
  .constantFrom(...STATUSES)
  .chain((status) =>
    fc
      .constantFrom({}, { link: '</a>; rel=preload' }, { 'x-a': 'b'.repeat(300), 'x-c': '1' })
      .map((headers) => raw(status, headers)),
  )
const final = fc.constantFrom(
  raw(200, { 'content-length': '2' }, 'ok'),
  raw(101, { upgrade: 'x' }, 'bytes'),
  raw(402, {}, 'HTTP/1.1 100 is the text of this body\r\n\r\n'),
  'SSH-2.0-x\r\n',
  'HTTP/1.1 1\r\n\r\n',
  'HTTP/1.1 1000 X\r\n\r\n',
)

describe('what is read from a connection', () => {
  it('is the answer alone, whatever interim responses come before it and however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(interim, { maxLength: 4 }),
        final,
        fc.array(fc.nat(40)),
        (before, answer, cuts) => {
          const socket = withoutInterimResponses(new Socket()).setMaxListeners(0)
          const bytes = Buffer.from([...before, answer].join(''), 'latin1')
          const read: Buffer[] = []
          let at = 0
          for (const cut of [...cuts, bytes.length]) {
            if (at >= bytes.length) break
            socket.push(bytes.subarray(at, at + cut + 1))
            at += cut + 1
            for (let chunk: unknown = socket.read(); chunk instanceof Buffer; chunk = socket.read())
              read.push(chunk)
          }
          expect(Buffer.concat(read).toString('latin1')).toBe(answer)
        },
      ),
    )
  })

  it('is an interim response too when it is longer than any head may be', () => {
    const socket = withoutInterimResponses(new Socket())
    const long = raw(102, { 'x-a': 'b'.repeat(131_072) }).slice(0, -4)
    socket.push(Buffer.from(long))
    expect(String(socket.read())).toBe(long)
  })
})

describe.each([
  ['a question', false],
  ['a payment', true],
])('%s', (_name, isPayment) => {
  it.each(STATUSES)('is answered behind three responses of status %i', async (status) => {
    const seller = await startRawSeller((socket) => {
      for (let n = 0; n < 3; n++) socket.write(raw(status, { 'x-n': String(n) }))
      socket.write(raw(200, { 'content-length': '2' }, 'ok'))
    })
    ends.push(() => seller.close())
    const { upstream } = transport()
    for (let n = 0; n < 3; n++) expect(await send(upstream, seller.url, isPayment)).toBe('200 ok')
  })

  it.each(STATUSES)(
    'ends at the limit of the first byte while responses of status %i come',
    async (status) => {
      const seller = await startRawSeller((socket) => {
        const more = (): boolean =>
          !socket.destroyed && socket.write(raw(status, {}), () => setImmediate(more))
        more()
      })
      ends.push(() => seller.close())
      const { upstream, timers } = transport()
      const outcome = send(upstream, seller.url, isPayment)
      await timers.fire(FIRST_BYTE_MS)
      expect(await outcome).toBe('timeout sent')
    },
  )

  it('has one limit, which interim responses do not begin anew', async () => {
    const written = Promise.withResolvers<void>()
    const seller = await startRawSeller((socket) => {
      for (let n = 0; n < 50; n++) socket.write(raw(102, {}))
      socket.write(raw(102, {}), () => written.resolve())
    })
    ends.push(() => seller.close())
    const { upstream, timers } = transport()
    const outcome = send(upstream, seller.url, isPayment)
    await written.promise
    await timers.fire(FIRST_BYTE_MS)
    expect(await outcome).toBe('timeout sent')
    expect(timers.size).toBe(0)
  })

  it.each([102, 103])('over HTTP/2 ends at the limit while responses of status %i come', async (status) => {
    const begun = Promise.withResolvers<void>()
    const seller = await startH2Seller(({ stream }) => {
      for (let n = 0; n < 5; n++) stream.additionalHeaders({ ':status': status })
      begun.resolve()
    })
    ends.push(() => seller.close())
    const { upstream, timers } = transport()
    const outcome = send(upstream, seller.url, isPayment)
    await begun.promise
    await timers.fire(FIRST_BYTE_MS)
    expect(await outcome).toBe('timeout sent')
  })
})
