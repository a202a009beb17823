/** Writes one record per request, including refusals, and notifies the observers. */
import { z } from 'zod'
import { systemClock, type Clock } from '../src/core/clock.ts'
import type { Observer, RequestSummary, TollwayEvent } from '../src/core/telemetry/events.ts'
import type { Exchange } from '../src/core/request/exchange.ts'
import { recordable } from '../src/io/audit/audit-recordable.ts'
import { exchangeOf } from './http/exchange-of.ts'
import type { Handler } from './http/handler.ts'
import { logOption } from './http/options.ts'
import { silentLog } from '../src/core/log.ts'
import { type Log } from '../src/core/log.ts'
import { closable, type ClosableHandler } from './http/closable.ts'
import { named } from './http/handler.ts'
import type { Hooks } from '../src/core/hooks/hooks.ts'
import { joinHooks, runnerOf } from './http/chain/request-hooks.ts'
import { hooksSchema } from './http/options/hooks-option.ts'
import { whenRequestEnds } from './http/request-summary.ts'
import { observeWith, sharedContext } from './http/chain/shared-context.ts'
import { lazyAuditFile } from '../src/io/audit/lazy-audit-file.ts'
import { ConfigError } from '../src/core/errors.ts'
import { functionOption, objectWith } from './http/options.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
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
  /** Functions of yours, called for every request and by the middlewares behind. */
  readonly hooks?: Hooks | undefined
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
  hooks: hooksSchema.optional(),
})

const MAX_MODEL_LENGTH = 500

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
  const runner = runnerOf(rest.hooks, { clock, observers, log })
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

  const handler = named<Handler>('auditLogger', (req, res, next) => {
    const exchange = exchangeOf(req, clock)
    if (own) sharedContext(exchange).audit = own
    observeWith(exchange, ...observers)
    whenRequestEnds(
      req,
      res,
      exchange,
      () => clock.now(),
      (summary) => publish(summary, exchange),
    )
    joinHooks(runner, { req, res, exchange }, () => clock.now())
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

/** Durations as decimal text: a record's hash must not depend on how a number is printed. */
function recordOf(summary: RequestSummary): Record<string, unknown> {
  const {
    usage,
    firstByteSeconds,
    seconds,
    overheadSeconds: _own,
    costMicroUsd: _cost,
    remoteModel,
    provider: _provider,
    ...rest
  } = summary
  return {
    ...rest,
    model: summary.model === undefined ? null : summary.model.slice(0, MAX_MODEL_LENGTH),
    remoteModel: remoteModel === undefined ? null : remoteModel.slice(0, MAX_MODEL_LENGTH),
    code: summary.code ?? null,
    conversion: summary.conversion ?? null,
    charge: summary.charge ?? null,
    inputTokens: usage?.inputTokens ?? null,
    outputTokens: usage?.outputTokens ?? null,
    seconds: seconds.toFixed(3),
    firstByteSeconds: firstByteSeconds?.toFixed(3) ?? null,
  }
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
