/** One payment per request: a repeat gets the answer of the request it repeats, and pays nothing. */
import type { ServerResponse } from 'node:http'
import { z } from 'zod'
import { systemClock, type Clock } from '../src/core/clock.ts'
import { membersOf, type Exchange } from '../src/core/request/exchange.ts'
import {
  decideRepeat,
  fallsBackFrom,
  idempotencyConflict,
  MAX_KEY_LENGTH,
  requestInProgress,
  unusableKey,
  type Presented,
  type RequestMark,
  type RequestScope,
} from '../src/core/request/idempotency.ts'
import type { LedgerUse } from '../src/io/ledger/ledger-use.ts'
import { requestDigest, type RequestDigest } from '../src/io/ledger/request-digest.ts'
import type { Tombstone } from '../src/io/store/contracts/idempotency.ts'
import { exchangeOf } from './http/exchange-of.ts'
import {
  endedMeanwhile,
  namedBefore,
  newestBefore,
  otherModelBefore,
  mayWantOtherTerms,
} from './idempotency/earlier.ts'
import type { Facts, Flight } from './idempotency/flight.ts'
import { Flights } from './idempotency/flights.ts'
import { closable, type ClosableHandler } from './http/closable.ts'
import { asyncHandler, type Request } from './http/handler.ts'
import { ledgerOption, LedgerSource, storeOption, type LedgerOptions } from './http/chain/ledger-source.ts'
import { functionOption, objectWith } from './http/options.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
import { isRouted } from './http/paths.ts'
import { failedForOtherModel, responseGone } from './idempotency/replay-error.ts'
import { isPaid, mayBePaid } from './http/chain/may-be-paid.ts'
import { setupError } from './http/setup-error.ts'

/** Options of {@link idempotency}. */
export interface IdempotencyOptions extends LedgerOptions {
  /** Most finished requests whose answers are kept in memory; default 1,000. */
  readonly maxEntries?: number | undefined
  /** Bytes of answers kept in memory; default 64 MiB. One answer gets at most an eighth of it. */
  readonly maxBytes?: number | undefined
  readonly clock?: Clock | undefined
  /** Called once with a function that says how much is remembered now, for metrics. */
  readonly onMount?: ((read: () => RememberedRequests) => void) | undefined
}

/** What is remembered of requests for their repeats. */
export interface RememberedRequests {
  /** Requests in flight, and ended ones that a repeat may ask for. */
  readonly count: number
  /** Bytes of their answers, at most `maxBytes`. */
  readonly bytes: number
}

const MEBIBYTE = 1024 * 1024

const SCHEMA = z.strictObject({
  ledger: ledgerOption.optional(),
  store: storeOption.optional(),
  maxEntries: z.int().min(0, 'give a number of answers').default(1000),
  maxBytes: z
    .int()
    .min(0, 'give a number of bytes')
    .default(64 * MEBIBYTE),
  clock: objectWith<Clock>(['now'], 'give { now() }').default(systemClock),
  onMount: functionOption<NonNullable<IdempotencyOptions['onMount']>>(
    'give a function of one function',
  ).optional(),
})

/**
 * Pays for a request only once, however often it is repeated; docs/idempotency.md defines when two requests count
 * as the same. Unpaid routes are not affected. Mount it after `modelRouter()` and before `budgetGuard()`, so that
 * no budget refuses a repeat.
 * @throws ConfigError for a mistake in the options
 */
export function idempotency(options: IdempotencyOptions = {}): ClosableHandler {
  const parsed = parseOptions('idempotency', SCHEMA, options)
  const { maxEntries, maxBytes, clock, onMount } = parsed
  const source = new LedgerSource('idempotency', parsed)
  let books: LedgerUse<'loseAnswer'> | undefined
  const flights = new Flights({
    clock,
    maxEntries,
    maxBytes,
    // Other processes on the same ledger must know this too, before the payment's outcome is recorded.
    onAbandoned: ({ chargeId }) => void (chargeId !== undefined && books?.loseAnswer(chargeId)),
    onLost: async (chargeId) => await books?.loseAnswer(chargeId),
    onEnd: (flight) => void noteLost(books, flight),
  })
  onMount?.(() => ({ count: flights.size, bytes: flights.bytes }))
  let digest: RequestDigest | undefined

  const handler = asyncHandler('idempotency', async (req, res, next) => {
    if (!isRouted(req)) return next()
    const exchange = exchangeOf(req)
    const { candidates, attempts } = exchange.routing
    const { body } = exchange.request
    if (!candidates) {
      throw setupError(
        'idempotency() found no route for the request. Nothing was paid.',
        'Mount readBody() and modelRouter() before idempotency().',
      )
    }
    if (!body || !mayBePaid(candidates, attempts)) return next()
    const presented = presentedBy(req)
    const cameAt = clock.now()
    const { ledger } = await source.of(exchange)
    books = ledger
    digest ??= requestDigest(await ledger.store.digestKey())
    const mark = { ...markOf(digest, req, exchange, body, presented), presented, cameAt }
    let checked: Flight | undefined
    for (;;) {
      const known = await ledger.repeats(mark)
      // No await from here until the flight is opened, so that of two equal requests one sees the other.
      if (res.closed || res.destroyed) return
      const unseen = endedMeanwhile(flights, mark, known)
      if (unseen && unseen !== checked) {
        checked = unseen
        continue
      }
      const named = namedBefore(flights, mark, known.named)
      const before = newestBefore(flights, mark, known.newest)
      const newest = before && !presented.isRetry && mayWantOtherTerms(before) ? undefined : before
      const now = clock.now()
      const otherModel = otherModelBefore(flights, mark, known.others)
      // An unpaid model may answer a request for which a paid one failed. Its paid stand-ins may not.
      const paysAtOnce = candidates.some(isPaid)
      const decision = decideRepeat(
        presented,
        mark.body,
        named,
        newest,
        paysAtOnce ? otherModel : undefined,
        now,
      )
      if (decision.kind === 'conflict') throw idempotencyConflict()
      if (decision.kind === 'fresh') {
        const latest = flights.newest(mark.body)
        const flight = flights.open(
          { ...mark, earlier: latest?.state === 'unpaid' ? latest.knew : undefined },
          { presented, mayBeAskedAgain: mayBeAskedAgain(req, presented), knew: known.newest?.charge.id },
        )
        flight.enter(res, exchange, true)
        exchange.payment.run = flight
        if (otherModel && fallsBackFrom(presented, otherModel, now)) exchange.payment.noPaidStandIn = true
        return next()
      }
      const { flight, tombstone } = decision.attempt
      if (!flight) throw remembered(res, exchange, tombstone, mark, ledger.instance)
      flight.enter(res, exchange, false)
      const isAnswered = await answerWith(flight, mark, res, exchange)
      if (isAnswered || res.closed) return isAnswered ? next() : undefined
    }
  })
  return closable(handler, () => source.close())
}

async function noteLost(ledger: LedgerUse<'loseAnswer'> | undefined, flight: Flight): Promise<void> {
  if (flight.state === 'failed' && flight.charge) await ledger?.loseAnswer(flight.charge.id)
}

/** @throws TollwayError `idempotency_conflict` for a key that cannot be kept */
function presentedBy(req: Request): Presented {
  const key = req.headers['idempotency-key']
  if (key !== undefined && (typeof key !== 'string' || !isName(key, MAX_KEY_LENGTH))) throw unusableKey()
  const id = req.headers['x-request-id']
  const count = req.headers['x-stainless-retry-count']
  const isNamedById = typeof id === 'string' && isName(id, 128)
  return {
    named: key !== undefined ? 'idempotency-key' : isNamedById ? 'x-request-id' : undefined,
    isRetry: typeof count === 'string' && /^0*[1-9]\d{0,8}$/.test(count),
  }
}

function isName(text: string, most: number): boolean {
  return text.length <= most && /^[\x20-\x7e]+$/.test(text)
}

/** Every official SDK sends its retry count from the first attempt on, starting at 0. */
function mayBeAskedAgain(req: Request, { named }: Presented): boolean {
  return named !== undefined || req.headers['x-stainless-retry-count'] !== undefined
}

function scopeOf(req: Request, { caller, endpoint, request }: Exchange): RequestScope {
  const url = req.originalUrl ?? req.url ?? ''
  const question = url.indexOf('?')
  const typed = question < 0 ? url : url.slice(0, question)
  return {
    caller: caller.id,
    method: req.method ?? '',
    path: request.direct ? typed : endpoint,
    query: question < 0 ? '' : url.slice(question),
    model: request.model ?? '',
  }
}

function markOf(
  digest: RequestDigest,
  req: Request,
  exchange: Exchange,
  body: Buffer,
  { named }: Presented,
): RequestMark {
  const { caller, method, path, query, model } = scopeOf(req, exchange)
  const scope = [caller, method, path, query, model]
  const bodyDigest = digest(['body', ...scope, body])
  const call = digest(['call', caller, method, path, query, ...withoutModel(exchange, body)])
  const value = named === undefined ? '' : String(req.headers[named])
  const marks = { body: bodyDigest, call }
  if (named === 'idempotency-key') return { name: digest([named, ...scope, value]), ...marks }
  if (named === 'x-request-id') return { name: digest([named, ...scope, value, body]), ...marks }
  return { name: undefined, ...marks }
}

/** The body without the value of its `model`; a form is kept whole, because no two attempts send the same bytes. */
function withoutModel({ request }: Exchange, body: Buffer): readonly Buffer[] {
  const model = membersOf(request).find(({ key }) => key === 'model')
  return model ? [body.subarray(0, model.valueStart), body.subarray(model.valueEnd)] : [body]
}

/** The error for a repeat of a request that is only recorded in the ledger. */
function remembered(
  res: ServerResponse,
  exchange: Exchange,
  tombstone: Tombstone | undefined,
  mark: RequestMark,
  instance: string,
): unknown {
  if (!tombstone) return new TypeError('a repeat repeats nothing')
  const { charge } = tombstone
  const isElsewhere = charge.instance !== instance
  // Held: nothing was signed, so it may be released without leaving a tombstone.
  if (charge.state === 'held' || (charge.state === 'authorized' && isElsewhere)) return requestInProgress()
  exchange.payment.charge = charge
  exchange.routing.payer = charge.payer
  markRepeat(res, exchange)
  const gone = responseGone(charge)
  return tombstone.body === mark.body || mark.name !== undefined
    ? gone
    : failedForOtherModel(gone, charge.model)
}

/**
 * Waits for another request's outcome and uses it for this one.
 * @returns false if that request ended before it was tried, or if this client left
 * @throws the error of that request
 */
async function answerWith(
  flight: Flight,
  mark: RequestMark,
  res: ServerResponse,
  exchange: Exchange,
): Promise<boolean> {
  const outcome = await Promise.race([flight.outcome, left(res)])
  if (outcome === undefined || outcome.kind === 'nothing') return false
  adopt(exchange, flight.facts)
  markRepeat(res, exchange)
  if (outcome.kind === 'error') {
    if (flight.mark.body === mark.body) throw outcome.error
    throw failedForOtherModel(outcome.error, flight.charge?.model)
  }
  // The same bytes would break off in the same place, and the client would retry.
  const body = flight.isCut ? undefined : outcome.body.read()
  if (body) {
    exchange.relay.reply = { ...outcome.head, body }
    return true
  }
  if (flight.charge) throw responseGone(flight.charge)
  return false
}

function left(res: ServerResponse): Promise<undefined> {
  return new Promise((resolve) => {
    if (res.closed) resolve(undefined)
    else res.once('close', () => resolve(undefined))
  })
}

/** A repeat is answered, charged and recorded like the request it repeats. */
function adopt(exchange: Exchange, facts: Facts | undefined): void {
  if (!facts) return
  Object.assign(exchange.routing, facts.routing)
  Object.assign(exchange.payment, facts.payment)
  Object.assign(exchange.record, facts.record)
  Object.assign(exchange.relay, facts.relay)
}

/** Tells the client, and the request's record, that the charge belongs to another request. */
function markRepeat(res: ServerResponse, exchange: Exchange): void {
  res.setHeader('x-tollway-replayed', 'yes')
  exchange.record.details['repeat_of'] = exchange.payment.charge?.requestId ?? 'unpaid'
}
