/** What is reported about a request when it has ended. */
import { providerOf } from '../../src/core/telemetry/gen-ai.ts'
import { AsyncResource } from 'node:async_hooks'
import type { ServerResponse } from 'node:http'
import { printable } from '../../src/core/printable.ts'
import {
  costOf,
  keyedCostOf,
  spentOf,
  type Exchange,
  type ExchangeRecord,
} from '../../src/core/request/exchange.ts'
import { outcomeOf } from '../../src/core/request/outcome.ts'
import type { RequestSummary } from '../../src/core/telemetry/events.ts'
import { overheadSeconds } from '../../src/payment/timing.ts'
import type { Request } from './handler.ts'

/** Nginx's status for a client that left before the answer began. */
const CLIENT_LEFT = 499
/** Nginx's status for a connection that the server closed without an answer. */
const NO_ANSWER = 444
const MAX_DETAILS = 32
const MAX_DETAIL_LENGTH = 500

/**
 * Calls `publish` once when the answer is complete or the client has left, after the seller had its moment to report usage.
 * @param now milliseconds since 1970
 */
export function whenRequestEnds(
  req: Request,
  res: ServerResponse,
  exchange: Exchange,
  now: () => number,
  publish: (summary: RequestSummary) => void,
): void {
  let isDone = false
  const publishLater = async (usageToCome: Promise<void>, summary: RequestSummary): Promise<void> => {
    await usageToCome
    publish({ ...summary, usage: exchange.relay.usage, details: detailsOf(exchange) })
  }
  // Run in the context of the request, for observers that rely on it.
  const end = AsyncResource.bind((): void => {
    if (isDone) return
    isDone = true
    const summary = summarize(req, res, exchange, now())
    const { usageToCome } = exchange.relay
    if (usageToCome) void publishLater(usageToCome, summary)
    else publish(summary)
  })
  res.on('finish', end)
  res.on('close', end)
}

function summarize(req: Request, res: ServerResponse, exchange: Exchange, now: number): RequestSummary {
  // A websocket's 101 is written past the response object (upgradeHandler).
  const isAnswered = res.headersSent || res.statusCode === 101
  const { startedAt } = exchange
  const { firstByteAt, closedBy } = exchange.relay
  const status = isAnswered ? res.statusCode : closedBy ? NO_ANSWER : CLIENT_LEFT
  return {
    requestId: exchange.id,
    method: req.method ?? '',
    endpoint: exchange.endpoint,
    caller: exchange.caller.id,
    route: exchange.routing.route ?? 'none',
    payer: exchange.routing.payer ?? 'none',
    model: exchange.request.model,
    ...askedOf(exchange),
    status,
    outcome: outcomeOf(exchange, status),
    code: exchange.record.code,
    advice: exchange.record.advice,
    charge: exchange.payment.charge?.id,
    costMicroUsd: spentOf(exchange) === 'no' ? keyedCostOf(exchange)?.microUsd : costOf(exchange),
    spent: spentOf(exchange),
    usage: exchange.relay.usage,
    stream: exchange.request.stream,
    truncated: exchange.relay.truncated,
    conversion: exchange.relay.conversion,
    seconds: Math.max(0, now - startedAt) / 1000,
    firstByteSeconds: firstByteAt === undefined ? undefined : Math.max(0, firstByteAt - startedAt) / 1000,
    overheadSeconds: overheadSeconds(exchange),
    details: detailsOf(exchange),
  }
}

/** A connection that Tollway closed was not left by its client, although both look the same to the parts that relay. */
function detailsOf({ record, relay: { closedBy } }: Exchange): ExchangeRecord['details'] {
  if (!closedBy) return cleaned(record.details)
  const { client_left: _left, ...details } = record.details
  return cleaned({ closed_by: closedBy, ...details })
}

/** Details may contain a seller's text: keep them printable, short and few. */
function cleaned(details: ExchangeRecord['details']): ExchangeRecord['details'] {
  return Object.fromEntries(
    Object.entries(details)
      .slice(0, MAX_DETAILS)
      .map(([name, value]) => [
        name,
        typeof value === 'string' ? printable(value, MAX_DETAIL_LENGTH) : finite(value),
      ]),
  )
}

function finite(value: number | boolean | null): number | boolean | string | null {
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value
}

/** The model that was asked for, and whom: of the candidate that was tried last, or else of the first. */
function askedOf({ routing, request }: Exchange): Pick<RequestSummary, 'remoteModel' | 'provider'> {
  const candidate = routing.candidate ?? routing.candidates?.[0]
  return {
    remoteModel: candidate?.remoteModel || request.model,
    provider: candidate ? providerOf(candidate.route) : routing.provider,
  }
}
