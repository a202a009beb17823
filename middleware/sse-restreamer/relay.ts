/** One answer on its way to the client, each in the way that suits it. */
import type { ServerResponse } from 'node:http'
import { TollwayError } from '../../src/core/errors.ts'
import type { Exchange, Reply } from '../../src/core/request/exchange.ts'
import { spentOf } from '../../src/core/request/exchange.ts'
import { printable } from '../../src/core/printable.ts'
import { decodedReply, recognise } from './paid-answer.ts'
import { RelaySession, type RelaySettings } from './relay-session.ts'
import { relayEvents, relayJsonAsEvents } from './relay-events.ts'
import { isJsonType, mediaType } from '../../src/core/request/header-policy.ts'
import { relayEventsAsJson, relayJson } from './relay-json.ts'
import { relayPlanOf, type RelayPlan } from './relay-plan.ts'
import { usageTap, type UsageTap } from './usage-tap.ts'

/**
 * Relays a reply, and lets go of its body at the end.
 * @throws TollwayError `paid_not_delivered` for a paid answer that cannot be given any more
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
 * How the answer goes to the client, by its first bytes. Streams of ours are looked at later, while comments keep the client;
 * what was opened early under another label than theirs is no answer that could go into a stream.
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
 * Bytes as they come; a body that breaks cuts the client off too, so that it can tell. The client is sent a piece before
 * anybody else looks at it.
 */
async function relayUntouched(ends: RelaySession, tap?: UsageTap): Promise<void> {
  ends.open()
  ends.flush()
  let cancel: (() => void) | undefined
  try {
    for await (const chunk of ends.chunks()) {
      await ends.client.write(chunk)
      await tap?.push(chunk)
      // At once: who leaves before the end has used it all the same.
      noteUsage(ends, tap)
      // Heartbeats behind the protocol's end do not keep the connection.
      if (tap?.ended === true) cancel ??= ends.letGoSoon()
    }
    await tap?.end()
    noteUsage(ends, tap)
    ends.end()
  } catch (error) {
    await tap?.end()
    noteUsage(ends, tap)
    // Behind the protocol's end nothing of the answer is lost.
    if (tap?.ended === true) return ends.end()
    ends.broke(error)
    ends.cut()
  } finally {
    cancel?.()
  }
}

function noteUsage({ exchange }: RelaySession, tap: UsageTap | undefined): void {
  exchange.relay.usage = tap?.usage ?? exchange.relay.usage
}

/** The client's stream is open, and what came is neither events nor JSON that could become some. */
function undeliverable(exchange: Exchange, reply: Reply): TollwayError {
  return new TollwayError({
    code: spentOf(exchange) === 'no' ? 'seller_error' : 'paid_not_delivered',
    message:
      'The stream was opened while the seller was silent, and its answer then was no stream and no JSON answer.',
    advice: ['Do not resend: it may be paid again.', 'Turn early_keepalive off for this route.'],
    details: { answer_status: reply.status, answer_type: printable(mediaType(reply.headers)) },
  })
}
