/**
 * Answers that the client gets as an event stream: the seller's events with their cost set, or events made from
 * its JSON answer.
 */
import { scanInSteps } from '../../src/core/json/json-scan.ts'
import { JsonText } from '../../src/core/json/json-text.ts'
import {
  eventsInSteps,
  MAX_CONVERTED_VALUES,
  streamInSteps,
} from '../../src/core/stream/answer-conversion.ts'
import { answerKind, type AnswerKind } from '../../src/core/stream/stream-json.ts'
import { isJsonType, mediaType } from '../../src/core/request/header-policy.ts'
import { assertPaidResponse, emptyStream, recognise } from './paid-answer.ts'
import type { RelaySession } from './relay-session.ts'
import { relayJson, sendWhole } from './relay-json.ts'
import { speaking, type Write } from './speaking.ts'
import type { CostSplicer } from '../../src/core/stream/cost-splicer.ts'
import { SseRelay } from '../../src/core/relay/sse-relay.ts'
import { brokenOff } from '../../src/core/stream/truncation.ts'

/**
 * Relays the events of the seller's stream as they arrive, once there is something to deliver; or the JSON answer
 * that came instead, whatever its content type.
 * @throws TollwayError `paid_not_delivered` for a paid answer that ended before that, or is not an answer
 */
export async function relayEvents(ends: RelaySession): Promise<void> {
  const relay = relayFor(ends)
  if (ends.reply.kind === 'unpaid') ends.openStream()
  const isJson = await speaking(ends, relay, async (write) => {
    if (!(await begins(ends, relay, write))) return false
    if (!isJsonType(mediaType(ends.reply.headers))) {
      await events(ends, relay, write)
      return false
    }
    const kind = answerKind(ends.exchange.endpoint)
    if (kind === undefined || !ends.exchange.request.stream) return true
    await jsonAsEvents(ends, relay, kind, write)
    return false
  })
  if (isJson && ends.opened) await ends.cut()
  else if (isJson) await relayJson(ends)
}

/**
 * Relays the complete JSON answer as the stream that the client asked for; or the events that came instead.
 * @throws TollwayError `paid_not_delivered` for one that broke off before anything was sent, or is not an answer
 */
export async function relayJsonAsEvents(ends: RelaySession, kind: AnswerKind): Promise<void> {
  const relay = relayFor(ends)
  await speaking(ends, relay, async (write) => {
    if (!(await begins(ends, relay, write))) return
    if (isJsonType(mediaType(ends.reply.headers))) await jsonAsEvents(ends, relay, kind, write)
    else await events(ends, relay, write)
  })
}

/**
 * Waits for the first bytes, which show what the answer is.
 * @returns whether there is an answer to relay; if not, a stream that was opened to keep the client is ended
 * @throws TollwayError `paid_not_delivered` if there is none and the client can still get an error status
 */
async function begins(ends: RelaySession, relay: SseRelay, write: Write): Promise<boolean> {
  try {
    await recognise(ends)
    return true
  } catch (error) {
    if (!ends.opened || ends.exchange.relay.openedEarly) throw error
    ends.broke(error)
    await finish(ends, relay, true, write)
    return false
  }
}

async function events(ends: RelaySession, relay: SseRelay, write: Write): Promise<void> {
  const { relay: state } = ends.exchange
  const chunks = ends.slices()
  let broken = false
  let cancel: (() => void) | undefined
  try {
    for (let step = await chunks.next(); step.done !== true; step = await chunks.next()) {
      const bytes = relay.push(step.value)
      // Many clients leave at `[DONE]`, before the end of the body.
      if (relay.complete) ends.nothingLost()
      await write(bytes)
      if (relay.sellerError !== undefined) break
      if (!relay.ended) continue
      // A client that asked for the usage has its answer, and waits a second for it.
      if (state.usageChunk !== 'asked' || !relay.awaitsUsage) break
      cancel ??= ends.letGoSoon()
    }
  } catch (error) {
    broken = !relay.ended
    if (broken) ends.broke(error)
  }
  cancel?.()
  const awaitsUsage = relay.awaitsUsage && state.usageChunk === 'forced'
  const lingering = ends.linger(chunks, (chunk) => {
    if (!awaitsUsage || state.usage) return false
    relay.push(chunk)
    ends.noteUsage(relay.usage)
    return state.usage !== undefined
  })
  if (awaitsUsage) state.usageToCome = lingering
  await finish(ends, relay, broken, write)
}

async function jsonAsEvents(
  ends: RelaySession,
  relay: SseRelay,
  kind: AnswerKind,
  write: Write,
): Promise<void> {
  const held: Uint8Array[] = []
  const text = new JsonText()
  let passing: ((chunk: Uint8Array) => Uint8Array) | undefined
  let size = 0
  let broken = false
  try {
    for await (const chunk of ends.slices()) {
      if (passing) {
        await ends.client.write(passing(chunk))
        continue
      }
      held.push(chunk)
      size += chunk.length
      text.push(chunk)
      if (size <= ends.maxConvertedBytes && text.values <= MAX_CONVERTED_VALUES) continue
      if (ends.opened) throw new RangeError('the answer is too large to convert')
      // The answer was paid for: the wrong form is better than losing it.
      passing = passThrough(ends)
      ends.open({ 'content-length': undefined })
      for (const slice of held.splice(0)) await ends.client.write(passing(slice))
    }
  } catch (error) {
    ends.broke(error)
    broken = true
    if (passing) return await ends.cut()
    if (!ends.opened) throw brokenOff(error)
  }
  if (ends.stopped) return
  if (passing) return ends.end()
  // An open stream can no longer report this by status, unless it was opened early for lack of one.
  const body = await ends.share.whole(held)
  if (!broken && (!ends.opened || ends.exchange.relay.openedEarly))
    assertPaidResponse(ends, body, text.isWhole, await ends.share.steps(scanInSteps(body)))
  await ends.share.turn()
  const made = broken ? undefined : await ends.share.steps(eventsInSteps(kind, body))
  if (!made && !ends.opened) return await sendWhole(ends, body, text.isWhole)
  ends.exchange.record.details['converted'] = 'json_to_sse'
  ends.openStream()
  if (made) {
    for await (const slice of ends.share.pieces(streamInSteps(made))) {
      const bytes = relay.push(slice)
      if (relay.complete) ends.nothingLost()
      await write(bytes)
    }
  }
  await finish(ends, relay, made === undefined, write)
}

function passThrough(ends: RelaySession): (chunk: Uint8Array) => Uint8Array {
  if (ends.reply.kind === 'unpaid') return (chunk) => chunk
  const splicer = ends.splicer()
  return (chunk) => splicer.push(chunk)
}

function relayFor(ends: RelaySession): SseRelay {
  const { endpoint } = ends.exchange
  const { usageChunk } = ends.exchange.relay
  const isPaid = ends.reply.kind === 'paid'
  const keyedSplicer = (isRead: boolean): CostSplicer | undefined => {
    if (!isRead) return undefined
    ends.noteUsage(relay.usage)
    return ends.keyedSplicer()
  }
  const relay = new SseRelay({
    splicer: isPaid ? () => ends.splicer() : ends.isKeyed ? keyedSplicer : undefined,
    passesErrors: ends.isKeyed,
    shape: answerKind(endpoint) ?? 'other',
    onTruncated: ends.settings.onTruncated,
    stripUsage: usageChunk === 'forced',
    tellsUsage: usageChunk === 'asked',
  })
  return relay
}

async function finish(ends: RelaySession, relay: SseRelay, broken: boolean, write: Write): Promise<void> {
  const { exchange } = ends
  ends.noteUsage(relay.usage)
  ends.noteStreamError(relay.sellerError ?? relay.failure)
  if (ends.stopped) return
  const end = relay.end(broken, ends.fallback())
  ends.noteUsage(relay.usage)
  exchange.relay.truncated = end.truncated
  ends.noteStreamError(relay.sellerError ?? relay.failure)
  const hasStatus = !ends.opened || exchange.relay.openedEarly
  if (ends.reply.kind === 'paid' && !relay.hasContent && hasStatus) {
    throw emptyStream(ends, relay.sellerError ?? relay.failure)
  }
  ends.nothingLost()
  if (end.truncated || end.cut) await exchange.payment.run?.lost()
  await write(end.bytes)
  if (end.cut) await ends.cut()
  else ends.end()
}
