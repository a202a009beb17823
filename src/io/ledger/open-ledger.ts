/** Opens a ledger for middlewares that are mounted without a gateway. */
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { systemClock, type Clock } from '../../core/clock.ts'
import { silentLog, type Log } from '../../core/log.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import type { AuditSink } from '../audit/audit-queue.ts'
import { openStore } from './open-store.ts'
import { parseOptions } from '../names/parse-options.ts'
import type { Store } from '../store/store.ts'
import { thisInstance } from './instance.ts'
import { Ledger } from './ledger.ts'

/** How often this process renews its heartbeat in the store and looks for dead processes (rule 10), milliseconds. */
export const HEARTBEAT_MS = 5_000

/** Options of {@link openLedger}. */
export interface OpenLedgerOptions {
  /** `sqlite:<path>` (relative to the working directory), `memory`, or a store of your own that passes the suite. */
  readonly store: string | Store
  /** Receives a record of every change, before money moves; none by default. It is not closed with the ledger. */
  readonly audit?: Omit<AuditSink, 'close'> | undefined
  /** Receive an event for every change of a charge. */
  readonly observers?: readonly Observer[] | undefined
  readonly clock?: Clock | undefined
  /** Receives failures of the heartbeat; none by default. */
  readonly log?: Log | undefined
}

/** Strict: an unknown option is a mistake. */
const OPTIONS = z.strictObject({
  store: z.custom<string | Store>(
    (value) => typeof value === 'string' || (typeof value === 'object' && value !== null),
    'give a store: `sqlite:./tollway.db`, `memory`, or an object of your own',
  ),
  audit: z.custom<OpenLedgerOptions['audit']>().optional(),
  observers: z
    .custom<readonly Observer[]>(Array.isArray, 'give a list of functions of one event')
    .default([]),
  clock: z.custom<Clock>((value) => value instanceof Object, 'give { now() }').default(systemClock),
  log: z.custom<Log>((value) => value instanceof Object, 'give a log, e.g. a pino logger').default(silentLog),
})

/** A ledger that renews its own heartbeat until it is closed. */
export interface OpenedLedger {
  readonly ledger: Ledger
  /** Retires this process in the store, and closes it. Signed payments without an answer stay counted as uncertain. */
  close(): Promise<void>
}

/**
 * Opens the ledger that `budgetGuard()`, `idempotency()` and `paymentInterceptor()` share.
 * @throws ConfigError for a mistake in the options, or a store that does not exist
 * @throws TollwayError `store_unavailable`, `audit_unavailable`
 */
export async function openLedger(options: OpenLedgerOptions): Promise<OpenedLedger> {
  const { store: given, audit, clock, observers, log } = parseOptions('openLedger', OPTIONS, options)
  const store = typeof given === 'string' ? await openStore(given) : given
  const sink: AuditSink = {
    append: async (type, fields, how) => await audit?.append(type, fields, how),
    check: async () => await audit?.check?.(),
    close: async () => undefined,
  }
  const context = { store, audit: sink, clock, random: randomBytes, instance: thisInstance(clock), observers }
  const ledger = await Ledger.open(context).catch(async (error: unknown) => {
    await store.close().catch(() => undefined)
    throw error
  })
  const heartbeat = setInterval(() => {
    ledger
      .beat()
      .then(() => ledger.retireDead())
      .catch((err: unknown) => log.error({ err }, 'the ledger could not be written'))
  }, HEARTBEAT_MS)
  heartbeat.unref()
  return {
    ledger,
    async close() {
      clearInterval(heartbeat)
      await ledger.close()
    },
  }
}
