/**
 * Writes a stream: nothing until there is something to deliver, comments while it is silent, events at the route's
 * pace.
 */
import { KeepAlive } from '../../src/core/relay/keep-alive.ts'
import type { SseRelay } from '../../src/core/relay/sse-relay.ts'
import { HeldStart } from './held-start.ts'
import { Pacer } from './pacer.ts'
import type { RelaySession } from './relay-session.ts'

/** Writes bytes of a stream. */
export type Write = (bytes: Buffer) => Promise<void>

/** Sends comments between events after a period of silence, and keeps the route's pace. */
export async function speaking<T>(
  ends: RelaySession,
  relay: SseRelay,
  work: (write: Write) => Promise<T>,
): Promise<T> {
  const { keepaliveMs, timers } = ends.settings
  const pace = ends.exchange.routing.candidate?.route.eventsPerSecond
  const pacer = pace === undefined ? undefined : new Pacer(pace, timers, ends.client.gone)
  let isWriting = false
  const every = keepaliveMs === 0 || ends.reply.kind === 'unpaid' ? undefined : keepaliveMs
  const keepAlive = new KeepAlive(every, timers, () => {
    if (isWriting || !ends.mayComment) return
    const comment = relay.comment('keep-alive')
    if (comment) void ends.client.keepOpen(Buffer.concat([start.open(), comment]))
  })
  const start = new HeldStart(ends, relay)
  const send: Write = (bytes) => ends.client.write(start.pass(bytes))
  keepAlive.heard()
  try {
    return await work(async (bytes) => {
      if (bytes.length === 0) return
      isWriting = true
      keepAlive.heard()
      if (pacer) await pacer.write(bytes, send)
      else await send(bytes)
      isWriting = false
    })
  } finally {
    keepAlive.stop()
  }
}
