import { getEventListeners, once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { startDeadline } from '../../src/io/transport/deadline.ts'
import { createUpstream, readBounded } from '../../src/io/transport/upstream.ts'

afterEach(() => {
  vi.useRealTimers()
})

describe('startDeadline', () => {
  it('aborts with a TimeoutError when the time is up', () => {
    vi.useFakeTimers()
    const { signal } = startDeadline(1000, undefined)
    vi.advanceTimersByTime(999)
    expect(signal.aborted).toBe(false)
    vi.advanceTimersByTime(1)
    expect(signal.reason).toMatchObject({ name: 'TimeoutError' })
  })

  it('aborts with the other signal, for its reason, also when that had happened before', () => {
    const other = new AbortController()
    const before = startDeadline(1000, other.signal)
    other.abort('left')
    expect(before.signal.reason).toBe('left')
    const after = startDeadline(1000, other.signal)
    expect(after.signal.reason).toBe('left')
    before.end()
    after.end()
  })

  it('leaves neither a timer nor a listener behind when it ends', () => {
    vi.useFakeTimers()
    const other = new AbortController()
    const deadline = startDeadline(3_600_000, other.signal)
    expect([vi.getTimerCount(), getEventListeners(other.signal, 'abort').length]).toEqual([1, 1])
    deadline.end()
    expect([vi.getTimerCount(), getEventListeners(other.signal, 'abort').length]).toEqual([0, 0])
  })
})

/** Fulfils when a body closes; it may have been aborted. */
const closeOf = (body: Readable): Promise<void> => new Promise((done) => body.once('close', done))

describe('createUpstream', () => {
  it('keeps nothing of an exchange that ended, whether answered, left unread, or failed', async () => {
    const server = createServer((_req, res) => res.end('answer')).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const upstream = createUpstream({ connectMs: 60_000, firstByteMs: 60_000, totalMs: 3_600_000 })
    const left = new AbortController()
    const request = { method: 'GET', headers: {}, body: undefined, signal: left.signal }
    const listeners = (): number => getEventListeners(left.signal, 'abort').length

    const read = await upstream.send({ ...request, url: `http://127.0.0.1:${port}/` })
    expect(listeners()).toBe(1)
    const closed = closeOf(read.body)
    await readBounded(read.body, 100, 60_000)
    await closed
    expect(listeners()).toBe(0)

    const discarded = await upstream.send({ ...request, url: `http://127.0.0.1:${port}/` })
    const gone = closeOf(discarded.body)
    discarded.body.destroy()
    await gone
    expect(listeners()).toBe(0)

    server.close()
    server.closeAllConnections()
    await once(server, 'close')
    await expect(upstream.send({ ...request, url: `http://127.0.0.1:${port}/` })).rejects.toThrow('no answer')
    expect(listeners()).toBe(0)
    await upstream.close()
  })
})
