/** Reading the body of an answer: its bytes in order, its end, its break, its silence, and the stop in between. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import * as fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { abandon, BodyIdleError, BodyReader } from '../../middleware/sse-restreamer/body-reader.ts'
import { whenDone } from '../../src/payment/peek-body.ts'
import { hasArrived, tellArrival } from '../../src/io/transport/arrival.ts'
import { createUpstream, type Upstream } from '../../src/io/transport/upstream.ts'
import { ManualTimers } from '../../src/testing/manual-timers.ts'

const IDLE_MS = 5000

function readerOf(body: ConstructorParameters<typeof BodyReader>[0]) {
  const timers = new ManualTimers()
  const stop = new AbortController()
  return { timers, stop, reader: new BodyReader(body, { idleMs: IDLE_MS, timers, stop: stop.signal }) }
}

async function allOf(reader: BodyReader): Promise<string> {
  const chunks: Uint8Array[] = []
  for (let chunk = await reader.read(); chunk; chunk = await reader.read()) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

function openStream(): Readable {
  return new Readable({ read() {} })
}

describe.each([
  ['a stream', (body: Readable) => body],
  ['an iterator', (body: Readable) => whenDone(body, () => undefined)],
])('the body is %s', (_kind, as) => {
  test('gives every byte once and in order, however it arrives', async () => {
    const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(pieces, fc.nat(20), async (parts, late) => {
        const body = openStream()
        const { reader } = readerOf(as(body))
        for (const part of parts.slice(0, late)) body.push(Buffer.from(part))
        const read = allOf(reader)
        for (const part of parts.slice(late)) {
          await new Promise((resolve) => setImmediate(resolve))
          body.push(Buffer.from(part))
        }
        body.push(null)
        expect(await read).toBe(Buffer.concat(parts).toString())
      }),
      { numRuns: 60 },
    )
  })

  test('throws the error of a body that breaks, after what came before it was read', async () => {
    const body = openStream()
    const { reader } = readerOf(as(body))
    body.push('he')
    expect(Buffer.from((await reader.read()) ?? []).toString()).toBe('he')
    const next = reader.read()
    body.destroy(new Error('cut off'))
    await expect(next).rejects.toThrow('cut off')
  })

  test('throws for a body that is closed before its end', async () => {
    const body = openStream()
    const { reader } = readerOf(as(body))
    const next = reader.read()
    body.destroy()
    await expect(next).rejects.toThrow(/clos/i)
  })

  test('throws for a body that broke before it was read', async () => {
    const body = openStream()
    body.on('error', () => undefined)
    body.destroy(new Error('early'))
    await new Promise((resolve) => body.once('close', resolve))
    await expect(readerOf(as(body)).reader.read()).rejects.toThrow('early')
  })

  test('throws after too long a silence, and closes the body', async () => {
    const body = openStream()
    const { reader, timers } = readerOf(as(body))
    const next = reader.read()
    const failed = expect(next).rejects.toThrow(BodyIdleError)
    await timers.fire(IDLE_MS)
    await failed
    expect(body.destroyed).toBe(true)
  })

  test('does not count the time in which nobody reads as silence', async () => {
    const body = openStream()
    const { reader, timers } = readerOf(as(body))
    body.push('he')
    await reader.read()
    expect(timers.size).toBe(0)
  })

  test('ends at once when the reading is stopped, and closes the body', async () => {
    const body = openStream()
    const { reader, stop } = readerOf(as(body))
    const next = reader.read()
    stop.abort()
    expect(await next).toBeUndefined()
    expect(body.destroyed).toBe(true)
    expect(await reader.read()).toBeUndefined()
  })
})

describe('a body of which all has arrived', () => {
  test('ends with its last bytes, before it says so itself', async () => {
    const body = openStream()
    body.push('whole')
    body.push(null)
    tellArrival(body, () => true)
    const { reader } = readerOf(body)
    expect(Buffer.from((await reader.read()) ?? []).toString()).toBe('whole')
    let ended = false
    body.once('end', () => (ended = true))
    expect(await reader.read()).toBeUndefined()
    expect(ended).toBe(false)
    expect(body.destroyed).toBe(false)
    await once(body, 'close')
  })

  test('is closed when it is given up with bytes in it', () => {
    const body = openStream()
    body.push('unread')
    tellArrival(body, () => true)
    abandon(body)
    expect(body.destroyed).toBe(true)
  })
})

describe('an answer over a connection', () => {
  let upstream: Upstream
  afterEach(async () => await upstream.close())

  test('leaves its connection to the next request when its bytes were read before its end was told', async () => {
    const connections = new Set<unknown>()
    const server = createServer((request, response) => {
      connections.add(request.socket)
      request.resume().once('end', () => response.end('answer'))
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    upstream = createUpstream({ connectMs: 10_000, firstByteMs: 60_000, totalMs: 60_000 })
    try {
      for (let sent = 0; sent < 6; sent += 1) {
        const reply = await upstream.send({
          method: 'POST',
          url: `http://127.0.0.1:${port}/v1`,
          headers: {},
          body: Buffer.from('{}'),
        })
        const closed = once(reply.body, 'close')
        expect(await allOf(readerOf(reply.body).reader)).toBe('answer')
        abandon(reply.body)
        await closed
        expect(hasArrived(reply.body)).toBe(true)
        expect(reply.body.errored).toBeNull()
      }
      // undici opens a second one before it knows that the first is free, and none after that.
      expect(connections.size).toBeLessThanOrEqual(2)
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })
})
