/** Answers that reach the client as a stream of ours: the seller's events with their cost set, or made of its JSON answer. */
import { streamOfJson } from '../../src/core/stream/answer-conversion.ts'
import { answerKind, type AnswerKind } from '../../src/core/stream/stream-json.ts'
import { KeepAlive } from '../../src/core/stream/keep-alive.ts'
import { Pacer } from './pacer.ts'
import { assertPaidResponse } from './paid-answer.ts'
import type { RelaySession } from './relay-session.ts'
import { sendWhole } from './relay-json.ts'
import { SseRelay } from '../../src/core/stream/sse-relay.ts'
import { brokenOff } from '../../src/core/stream/truncation.ts'

type Write = (bytes: Buffer) => Promise<void>

/** The events of the seller's stream as they come. */
export async function relayEvents(ends: RelaySession): Promise<void> {
  const relay = relayFor(ends)
  ends.openStream()
  await speaking(ends, relay, async (write) => {
    let broken = false
    try {
      for await (const chunk of ends.chunks()) {
        const bytes = relay.push(chunk)
        // Many clients leave at `[DONE]`, before the end of the body.
        if (relay.complete) ends.nothingLost()
        await write(bytes)
        if (relay.sellerError !== undefined) break
      }
    } catch (error) {
      ends.broke(error)
      broken = true
    }
    await finish(ends, relay, broken, write)
  })
}

/**
 * The whole JSON answer as the stream that the client asked for.
 * @throws TollwayError `paid_not_delivered` for one that broke off while nothing of it was sent, or is no answer
 */
export async function relayJsonAsEvents(ends: RelaySession, kind: AnswerKind): Promise<void> {
  const relay = relayFor(ends)
  await speaking(ends, relay, async (write) => {
    const held: Uint8Array[] = []
    let passing: ((chunk: Uint8Array) => Uint8Array) | undefined
    let size = 0
    let broken = false
    try {
      for await (const chunk of ends.chunks()) {
        if (passing) {
          await ends.client.write(passing(chunk))
          continue
        }
        held.push(chunk)
        size += chunk.length
        if (size <= ends.settings.maxJsonBytes) continue
        if (ends.opened) throw new RangeError('the answer is too large to convert')
        // Paid for: better in the wrong form than lost.
        passing = passThrough(ends)
        ends.open({ 'content-length': undefined })
        await ends.client.write(passing(Buffer.concat(held.splice(0))))
      }
    } catch (error) {
      ends.broke(error)
      broken = true
      if (passing) return ends.cut()
      if (!ends.opened) throw brokenOff(error)
    }
    if (ends.stopped) return
    if (passing) return ends.end()
    // An open stream has no status left to tell it by, unless it was opened for want of one.
    if (!broken && (!ends.opened || ends.exchange.relay.openedEarly))
      assertPaidResponse(ends, Buffer.concat(held))
    const stream = broken ? undefined : streamOfJson(kind, Buffer.concat(held).toString('utf8'))
    if (!stream && !ends.opened) return await sendWhole(ends, Buffer.concat(held))
    ends.exchange.record.details['converted'] = 'json_to_sse'
    ends.openStream()
    if (stream) await write(relay.push(stream))
    await finish(ends, relay, stream === undefined, write)
  })
}

function passThrough(ends: RelaySession): (chunk: Uint8Array) => Uint8Array {
  if (ends.reply.kind === 'unpaid') return (chunk) => chunk
  const splicer = ends.splicer()
  return (chunk) => splicer.push(chunk)
}

function relayFor(ends: RelaySession): SseRelay {
  const { endpoint } = ends.exchange
  const { usageChunk } = ends.exchange.relay
  return new SseRelay({
    splicer: ends.reply.kind === 'paid' ? () => ends.splicer() : undefined,
    shape: answerKind(endpoint) ?? 'other',
    onTruncated: ends.settings.onTruncated,
    stripUsage: usageChunk === 'forced',
    tellsUsage: usageChunk === 'asked',
  })
}

/** Lets comments go out between events whenever nothing else did for a while, and keeps the pace of the route. */
async function speaking(
  ends: RelaySession,
  relay: SseRelay,
  work: (write: Write) => Promise<void>,
): Promise<void> {
  const { keepaliveMs, timers } = ends.settings
  const pace = ends.exchange.routing.candidate?.route.eventsPerSecond
  const pacer = pace === undefined ? undefined : new Pacer(pace, timers, ends.client.gone)
  let isWriting = false
  const every = keepaliveMs === 0 || ends.reply.kind === 'unpaid' ? undefined : keepaliveMs
  const keepAlive = new KeepAlive(every, timers, () => {
    if (isWriting || !ends.mayComment) return
    const comment = relay.comment('keep-alive')
    if (!comment) return
    ends.openStream()
    void ends.client.keepOpen(comment)
  })
  const send: Write = (bytes) => ends.client.write(bytes)
  keepAlive.heard()
  try {
    await work(async (bytes) => {
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

async function finish(ends: RelaySession, relay: SseRelay, broken: boolean, write: Write): Promise<void> {
  const { exchange } = ends
  exchange.relay.usage = relay.usage ?? exchange.relay.usage
  ends.noteWords(relay.sellerError ?? relay.sellerWords)
  if (ends.stopped) return
  const end = relay.end(broken, ends.fallback())
  exchange.relay.usage = relay.usage ?? exchange.relay.usage
  exchange.relay.truncated = end.truncated
  ends.noteWords(relay.sellerError ?? relay.sellerWords)
  ends.nothingLost()
  await write(end.bytes)
  if (end.cut) ends.cut()
  else ends.end()
}
