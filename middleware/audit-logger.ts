/** Writes one record per request, including refusals, and notifies the observers. */
import { AsyncResource } from 'node:async_hooks'
import type { ServerResponse } from 'node:http'
import { z } from 'zod'
import { systemClock, type Clock } from '../src/core/clock.ts'
import type { Observer, RequestSummary, TollwayEvent } from '../src/core/telemetry/events.ts'
import { spentOf, type Exchange, type ExchangeRecord } from '../src/core/request/exchange.ts'
import { recordable } from '../src/io/audit/audit-recordable.ts'
import { exchangeOf } from './http/exchange-of.ts'
import type { Handler, Request } from './http/handler.ts'
import { logOption } from './http/options.ts'
import { silentLog } from '../src/core/log.ts'
import { type Log } from '../src/core/log.ts'
import { closable, type ClosableHandler } from './http/closable.ts'
import { named } from './http/handler.ts'
import { observeWith, sharedContext } from './http/chain/shared-context.ts'
import { lazyAuditFile } from '../src/io/audit/lazy-audit-file.ts'
import { ConfigError } from '../src/core/errors.ts'
import { functionOption, objectWith } from './http/options.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
import { outcomeOf } from '../src/core/request/outcome.ts'
import { overheadSeconds } from '../src/payment/timing.ts'
import { printable } from '../src/core/printable.ts'
import { LogLimit } from '../src/core/log-limit.ts'
import { systemTimers, type Timers } from '../src/core/timers.ts'
import { REFUSALS, RefusalTally } from '../src/io/audit/refusal-tally.ts'

/** Where records go: the audit file, or anything with its `append`. */
export interface RequestAudit {
  /** Appends one record; rejects when it cannot be written. */
  append(type: string, fields: Record<string, unknown>, options?: object): Promise<unknown>
}

/** Options of {@link auditLogger}. */
export interface AuditLoggerOptions {
  /**
   * The audit file, created when missing; its directory must exist. It has one writer: a second process needs a file of
   * its own. The ledger of the middlewares behind writes its records there too, before money moves.
   */
  readonly path?: string | undefined
  /** An audit file that is open already, or anything with its `append`; instead of `path`. */
  readonly audit?: RequestAudit | undefined
  /** Receive `{ type: 'request' }` for every request, and `{ type: 'audit_failed' }`. */
  readonly observers?: readonly Observer[] | undefined
  readonly clock?: Clock | undefined
  readonly log?: Log | undefined
  /** Decides which refusals have a record of their own. Flush it at shutdown; default one that is not flushed. */
  readonly refusals?: RefusalTally | undefined
}

const SCHEMA = z.strictObject({
  path: z.string().min(1, 'name the file').optional(),
  audit: objectWith<RequestAudit>(
    ['append'],
    'give the audit file, or an object with append(type, fields)',
  ).optional(),
  observers: z.array(functionOption<Observer>('an observer is a function of one event')).default([]),
  clock: objectWith<Clock>(['now'], 'a clock is an object with now()').default(systemClock),
  log: logOption.default(silentLog),
  refusals: objectWith<RefusalTally>(['takes'], 'give the RefusalTally of the gateway').optional(),
})

/** Nginx's status for a client that left before the answer began. */
const CLIENT_LEFT = 499
/** Nginx's status for a connection that the server closed without an answer. */
const NO_ANSWER = 444
const MAX_DETAILS = 32
const MAX_DETAIL_LENGTH = 500

/**
 * Opens the exchange and writes exactly one `request` record when the answer is complete or the client has left
 * (none for successful scrapes, probes and spend page refreshes; of many like refusals one for all, see
 * {@link RefusalTally}). Mount it first, so that it sees every outcome. A
 * record that cannot be written is counted and logged, never thrown: the answer has already been sent, and paid
 * routes stop on their own (rule 9).
 * @throws ConfigError for a mistake in the options
 */
export function auditLogger(options: AuditLoggerOptions): ClosableHandler {
  const { path, audit: given, observers, clock, log, ...rest } = parseOptions('auditLogger', SCHEMA, options)
  const own = path === undefined ? undefined : lazyAuditFile(path, clock)
  const audit = own ?? given
  if (!audit || (own && given)) {
    throw new ConfigError(
      "auditLogger(): say where records go: path: './audit.jsonl', or audit for a file that is open already.",
    )
  }
  const refusals = rest.refusals ?? tallyRefusals({ audit, clock, log })
  const failures = new LogLimit(clock)
  const tell = (event: TollwayEvent, all: readonly Observer[]): void => {
    for (const observer of all) {
      try {
        observer(event)
      } catch (err) {
        failures.pass('observer', (more) => log.error({ err, ...more }, 'an observer threw'))
      }
    }
  }
  const write = async (summary: RequestSummary, all: readonly Observer[]): Promise<void> => {
    const fields = recordOf(summary)
    try {
      await audit.append('request', fields).catch(async (error: unknown) => {
        if (!(error instanceof TypeError)) throw error
        // A client can send a model name that looks like a signature: the rest of the record must still be
        // written.
        await audit.append('request', recordable('request', fields))
      })
    } catch (err) {
      tell({ type: 'audit_failed' }, all)
      const { requestId } = summary
      failures.pass('record', (more) =>
        log.error({ err, requestId, ...more }, 'a request record could not be written'),
      )
    }
  }
  const publish = (summary: RequestSummary, exchange: Exchange): void => {
    const all = sharedContext(exchange).observers
    const isOwn = refusals.takes(summary)
    if (isOwn && !isRoutineLook(summary)) void write(summary, all)
    tell({ type: 'request', summary, ...(isOwn ? {} : { counted: true }) }, all)
  }
  const publishLater = async (
    usageToCome: Promise<void>,
    summary: RequestSummary,
    exchange: Exchange,
  ): Promise<void> => {
    await usageToCome
    publish({ ...summary, usage: exchange.relay.usage, details: detailsOf(exchange) }, exchange)
  }

  const handler = named<Handler>('auditLogger', (req, res, next) => {
    const exchange = exchangeOf(req, clock)
    if (own) sharedContext(exchange).audit = own
    observeWith(exchange, ...observers)
    let written = false
    // Run in the context of the request, for observers that rely on it.
    const end = AsyncResource.bind((): void => {
      if (written) return
      written = true
      const summary = summarize(req, res, exchange, clock.now())
      const { usageToCome } = exchange.relay
      if (usageToCome) void publishLater(usageToCome, summary, exchange)
      else publish(summary, exchange)
    })
    res.on('finish', end)
    res.on('close', end)
    next()
  })
  return closable(handler, async () => await own?.close())
}

/** Scrapes, probes and page refreshes arrive every few seconds and move no money: recorded only when refused. */
function isRoutineLook({ method, endpoint, status }: RequestSummary): boolean {
  return (
    method === 'GET' && status < 400 && /^\/(?:metrics|health|healthz|dashboard|api)(?:\/|$)/.test(endpoint)
  )
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
    status,
    outcome: outcomeOf(exchange, status),
    code: exchange.record.code,
    charge: exchange.payment.charge?.id,
    costMicroUsd: spentOf(exchange) === 'no' ? undefined : exchange.payment.charge?.microUsd,
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

/** Durations as decimal text: a record's hash must not depend on how a number is printed. */
function recordOf(summary: RequestSummary): Record<string, unknown> {
  const { usage, firstByteSeconds, seconds, overheadSeconds: _own, costMicroUsd: _cost, ...rest } = summary
  return {
    ...rest,
    model: summary.model === undefined ? null : summary.model.slice(0, MAX_DETAIL_LENGTH),
    code: summary.code ?? null,
    conversion: summary.conversion ?? null,
    charge: summary.charge ?? null,
    inputTokens: usage?.inputTokens ?? null,
    outputTokens: usage?.outputTokens ?? null,
    seconds: seconds.toFixed(3),
    firstByteSeconds: firstByteSeconds?.toFixed(3) ?? null,
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

/** What {@link tallyRefusals} needs. */
export interface RefusalsSetup {
  readonly audit: RequestAudit
  readonly clock: Clock
  readonly log: Log
  readonly timers?: Timers | undefined
}

/** A tally that writes to an audit file and to the log. */
export function tallyRefusals({ audit, clock, log, timers = systemTimers }: RefusalsSetup): RefusalTally {
  return new RefusalTally({
    clock,
    timers,
    write: async ({ samples, ...counts }) => {
      log.warn(counts, 'refused requests that have no record of their own')
      await audit.append(REFUSALS, { ...counts, samples })
    },
  })
}
