/** Relays one answer to the client in the form that suits it. */
import type { ServerResponse } from 'node:http'
import { TollwayError } from '../../src/core/errors.ts'
import { spentOf, type Exchange, type Reply } from '../../src/core/request/exchange.ts'
import { printable } from '../../src/core/printable.ts'
import { decodedReply, recognise } from './paid-answer.ts'
import { RelaySession, type RelaySettings } from './relay-session.ts'
import { relayEvents, relayJsonAsEvents } from './relay-events.ts'
import { isJsonType, mediaType } from '../../src/core/request/header-policy.ts'
import { relayEventsAsJson, relayJson } from './relay-json.ts'
import { relayKeyedJson } from './relay-keyed-json.ts'
import { relayPlanOf, type RelayPlan } from './relay-plan.ts'
import { usageTap, type UsageTap } from '../http/usage-tap.ts'

/**
 * Relays a reply, and closes its body at the end.
 * @throws TollwayError `paid_not_delivered` for a paid answer that can no longer be delivered
 */
export async function relayReply(
  settings: RelaySettings,
  exchange: Exchange,
  reply: Reply,
  res: ServerResponse,
): Promise<void> {
  const ends = new RelaySession(settings, exchange, decodedReply(exchange, reply), res)
  const undo = ends.watchClient()
  try {
    const plan = await recognisedPlan(ends)
    if (plan.way === 'undeliverable') {
      ends.letGo()
      throw undeliverable(exchange, ends.reply)
    }
    await relayBy(plan, ends)
  } finally {
    undo()
  }
}

/**
 * Chooses how to relay the answer by its first bytes. An answer that is sent as our stream is inspected later,
 * while comments keep the client connected. If the stream was opened early, an answer whose content type is
 * neither events nor JSON cannot be sent in it.
 */
async function recognisedPlan(ends: RelaySession): Promise<RelayPlan> {
  const { exchange, reply } = ends
  const plan = relayPlanOf(exchange, reply)
  const type = mediaType(reply.headers)
  const isLabelled = type === 'text/event-stream' || isJsonType(type)
  if (plan.way === 'events' || plan.way === 'json-to-events') return plan
  if (exchange.relay.openedEarly && !isLabelled) return plan
  await recognise(ends)
  return relayPlanOf(exchange, ends.reply)
}

async function relayBy(
  plan: Exclude<RelayPlan, { way: 'undeliverable' }>,
  ends: RelaySession,
): Promise<void> {
  switch (plan.way) {
    case 'untouched':
      return await relayUntouched(ends)
    case 'watched':
      return await relayUntouched(ends, usageTap(ends.reply.headers))
    case 'events':
      return await relayEvents(ends)
    case 'json':
      return await relayJson(ends)
    case 'keyed-json':
      return await relayKeyedJson(ends)
    case 'json-to-events':
      ends.exchange.relay.conversion = 'json_to_sse'
      return await relayJsonAsEvents(ends, plan.kind)
    case 'events-to-json':
      ends.exchange.relay.conversion = 'sse_to_json'
      return await relayEventsAsJson(ends, plan.kind)
    default:
      return plan satisfies never
  }
}

/**
 * Relays bytes as they arrive. If the body breaks off, the client is cut off too, so that it can tell. Each piece
 * is sent to the client before its usage is read.
 */
async function relayUntouched(ends: RelaySession, tap?: UsageTap): Promise<void> {
  ends.open()
  ends.flush()
  let cancel: (() => void) | undefined
  try {
    for (let chunk = await ends.read(); chunk; chunk = await ends.read()) {
      await ends.client.write(chunk)
      if (tap) await ends.share.each(chunk, (slice) => tap.push(slice))
      // Immediately: a client that leaves early has used these tokens anyway.
      noteUsage(ends, tap)
      // Heartbeats after the protocol's end must not keep the connection open.
      if (tap?.ended === true) cancel ??= ends.letGoSoon()
    }
    await tap?.end()
    noteUsage(ends, tap)
    ends.end()
  } catch (error) {
    await tap?.end()
    noteUsage(ends, tap)
    // After the protocol's end no part of the answer is lost.
    if (tap?.ended === true) return ends.end()
    ends.broke(error)
    await ends.cut()
  } finally {
    cancel?.()
    ends.letGo()
  }
}

function noteUsage(ends: RelaySession, tap: UsageTap | undefined): void {
  ends.noteUsage(tap?.usage, tap?.receivedBytes)
}

/** The client's stream is open, and the answer is neither events nor JSON that could become events. */
function undeliverable(exchange: Exchange, reply: Reply): TollwayError {
  return new TollwayError({
    code: spentOf(exchange) === 'no' ? 'seller_error' : 'paid_not_delivered',
    message:
      'The stream was opened while the seller was silent, and its answer then was neither a stream nor JSON.',
    advice: ['Do not resend: it may be paid again.', 'Turn early_keepalive off for this route.'],
    details: { answer_status: reply.status, answer_type: printable(mediaType(reply.headers)) },
  })
}
