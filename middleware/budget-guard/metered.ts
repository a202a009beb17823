/** Calls without a payment: what they may cost and use at most is reserved, and what the answer tells is booked. */
import type { ServerResponse } from 'node:http'
import { claimsFor, counted, type BudgetRule, type Claim, type Totals } from '../../src/core/budget/budget.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import { KEYED_PAYER, METERED_NETWORK, METERED_SYMBOL } from '../../src/core/charge/metered.ts'
import { TollwayError } from '../../src/core/errors.ts'
import { mostOf, type CallSize } from '../../src/core/metering/call-size.ts'
import { costOfCall, type MeteredCall } from '../../src/core/metering/metered-call.ts'
import { mostTokens } from '../../src/core/metering/token-counts.ts'
import { highestCost, isPriced } from '../../src/core/metering/token-prices.ts'
import type { Exchange, MeteredApproval, MeteredHold } from '../../src/core/request/exchange.ts'
import { lowerMaxTokens, type Reduced } from '../../src/core/routing/max-tokens.ts'
import type { Candidate, ModelInfo } from '../../src/core/routing/route.ts'
import type { Usage } from '../../src/core/stream/usage.ts'
import type { Observer } from '../../src/core/telemetry/events.ts'
import type { LedgerUse } from '../../src/io/ledger/ledger-use.ts'
import { namesOf } from '../../src/payment/reserve-terms.ts'

/** What the guard does with the ledger. */
export type GuardLedger = LedgerUse<
  'reserve' | 'refuseEarly' | 'authorize' | 'settle' | 'release' | 'noteUsage',
  'settleTokens' | 'totals'
>

/** A call without a payment. */
interface KeyedRequest {
  readonly exchange: Exchange
  readonly candidate: Candidate
  /** As it is sent, decoded. */
  readonly body: Buffer | undefined
  /** The prices of its model. */
  readonly info: ModelInfo | undefined
  readonly rules: readonly BudgetRule[]
  /** Input tokens that the body does not show; default 0. */
  readonly addedInputTokens?: number | undefined
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Learn of lowered limits. */
  readonly observers?: Iterable<Observer> | undefined
  readonly approval?: MeteredApproval | undefined
}

/** How long a call may take where its route does not say: the gateway's default of `timeouts.total_seconds`, milliseconds. */
const DEFAULT_TOTAL_MS = 3_600_000

/** Whether a budget counts model tokens. */
export function countsTokens({ asset }: BudgetRule): boolean {
  return asset?.counts === 'tokens'
}

/** The most model tokens that a request may take. */
export function tokensOf({ request, endpoint }: Exchange, info: ModelInfo | undefined): bigint {
  const { inputTokens, outputTokens } = mostTokens(request.body, endpoint, info)
  return BigInt(inputTokens) + BigInt(outputTokens)
}

/**
 * Reserves the most that a call may cost and use. A call that no enforced budget counts goes on while the ledger cannot be
 * written, as unpaid calls do (rule 9).
 * @returns `undefined` when it has no price and no budget counts it
 * @throws TollwayError `budget_exhausted`, `approval_refused`, `store_unavailable`, `audit_unavailable`
 */
export async function reserveMetered(
  ledger: Pick<GuardLedger, 'reserve' | 'refuseEarly' | 'store'>,
  request: KeyedRequest,
): Promise<MeteredHold | undefined> {
  const { exchange, info, rules } = request
  if (!isPriced(info) && !isClaimed(request)) return undefined
  const reduced = await reducedToFit(ledger, request)
  const most = sizeOf(request, reduced?.body ?? request.body)
  const terms = termsOfKeyed(request, most)
  const claims = claimsFor(rules, terms, request.now)
  if (terms.microUsd === undefined && claims.length === 0) return undefined
  if (terms.microUsd !== undefined && request.approval?.isNeeded(terms.microUsd)) {
    // No person is asked for what the budgets do not allow now; the reservation decides.
    await ledger.refuseEarly(terms, rules)
    await request.approval.ask(terms.microUsd)
  }
  try {
    const charge = await ledger.reserve(terms, rules, false)
    if (reduced) noteReduction(request, reduced)
    return { charge, info, most, endpoint: exchange.endpoint, reduced: reduced?.body }
  } catch (error) {
    const isOutage =
      error instanceof TollwayError &&
      (error.code === 'store_unavailable' || error.code === 'audit_unavailable')
    if (isOutage && claims.every(({ enforce }) => enforce === false)) return undefined
    throw error
  }
}

/** Whether a budget counts the call, whatever its size: most unpaid calls are not counted, and need not be measured. */
function isClaimed(request: KeyedRequest): boolean {
  return claimsFor(request.rules, termsOfKeyed(request, OF_ANY_SIZE), request.now).length > 0
}

const OF_ANY_SIZE: CallSize = { inputTokens: 0, outputTokens: 0 }

function sizeOf(
  { exchange, candidate, info, addedInputTokens = 0 }: KeyedRequest,
  body: Buffer | undefined,
): CallSize {
  const maxMs = candidate.route.timeouts?.totalMs ?? DEFAULT_TOTAL_MS
  const most = mostOf({ body, endpoint: exchange.endpoint, maxMs }, info)
  return { ...most, inputTokens: most.inputTokens + addedInputTokens }
}

function termsOfKeyed({ exchange, candidate, info }: KeyedRequest, most: CallSize) {
  const { route } = candidate
  const microUsd = isPriced(info) ? highestCost(info, most) : undefined
  return {
    ...namesOf(exchange, candidate),
    requestId: exchange.id,
    caller: exchange.caller.id,
    model: exchange.request.model ?? '',
    route: route.modelName,
    payer: KEYED_PAYER,
    seller: URL.canParse(route.apiBase) ? new URL(route.apiBase).origin : route.apiBase,
    apiBase: route.apiBase,
    network: METERED_NETWORK,
    asset: METERED_NETWORK,
    symbol: METERED_SYMBOL,
    decimals: 6,
    payTo: '',
    amount: microUsd ?? 0n,
    microUsd,
    tags: exchange.payment.tags,
    tokens: BigInt(most.inputTokens) + BigInt(most.outputTokens),
  }
}

/**
 * The request with a limit on output tokens that every enforced budget has room for now, where the route allows that. The
 * reservation decides: another request may take the room first.
 * @returns `undefined` for a request that fits as it is, or cannot be made to fit
 */
async function reducedToFit(
  { store }: Pick<GuardLedger, 'store'>,
  request: KeyedRequest,
): Promise<Reduced | undefined> {
  const { body, candidate, rules, now } = request
  const lowest = candidate.route.reduceMaxTokens
  if (lowest === undefined || body === undefined) return undefined
  const claimsWith = (sent: Buffer): Claim[] =>
    claimsFor(rules, termsOfKeyed(request, sizeOf(request, sent)), now).filter(
      ({ enforce }) => enforce !== false,
    )
  const lasting = claimsWith(body).filter(({ window }) => window !== 'request')
  const totals = await store.totals(lasting).catch((): Totals[] => [])
  const roomOf = new Map(
    lasting.map((claim, at) => {
      const taken = totals[at]
      return [keyOf(claim), claim.limit - (taken === undefined ? 0n : counted(taken))]
    }),
  )
  const fitsIn = (sent: Buffer): boolean =>
    claimsWith(sent).every((claim) => claim.amount <= (roomOf.get(keyOf(claim)) ?? claim.limit))
  return fitsIn(body) ? undefined : lowerMaxTokens(body, lowest, fitsIn)
}

function keyOf({ budget, subject, window }: Claim): string {
  return `${budget}\n${subject}\n${window}`
}

function noteReduction({ exchange, candidate, observers = [] }: KeyedRequest, { from, to }: Reduced): void {
  const { route } = candidate
  exchange.record.details['asked_max_tokens'] = from
  exchange.record.details['reduced_max_tokens'] = to
  exchange.payment.reducedMaxTokens = to
  for (const observer of observers) {
    observer({ type: 'tokens_reduced', seller: new URL(route.apiBase).origin, route: route.modelName })
  }
}

/**
 * Books what the answer cost, once it is through: by its usage, or the most it may have cost where it told none.
 * @returns see `MeteredHold.answered`
 */
export function settleMetered(
  res: ServerResponse,
  exchange: Exchange,
  ledger: Pick<GuardLedger, 'settle' | 'noteUsage' | 'store'>,
  now: () => number,
): () => Promise<void> {
  const sentAt = now()
  const settle = async (isWhole: boolean): Promise<void> => {
    const { metered } = exchange.payment
    if (!metered) return
    exchange.payment.metered = undefined
    // Part of a stream tells part of the usage: what was billed may be more.
    const usage = isWhole ? exchange.relay.usage : undefined
    await settleByUsage(ledger, metered, { usage, isAnswered: isWhole, tookMs: now() - sentAt })
  }
  whenThrough(res, exchange, settle)
  return async () => {
    if (res.closed) await settle(false)
  }
}

/** How a call ended. */
interface CallEnd {
  readonly usage: Usage | undefined
  /** Whether there is a whole answer: what has a fixed price then costs that. */
  readonly isAnswered: boolean
  readonly tookMs: number
}

/** Books what the usage of a call costs; without one, the most that it may have cost. Never rejects. */
export async function settleByUsage(
  ledger: Pick<GuardLedger, 'settle' | 'noteUsage' | 'store'>,
  metered: MeteredCall,
  { usage, isAnswered, tookMs }: CallEnd,
): Promise<void> {
  const { charge } = metered
  if (usage) {
    await ledger.noteUsage(charge.id, usage)
    await tokensTaken(ledger, charge, usage)
  }
  const cost = costOfCall(metered, usage, tookMs)
  const isKnown = cost === undefined ? usage !== undefined : cost.isExact
  if (isAnswered && isKnown) await ledger.settle(charge, 'receipt', undefined, false, cost?.microUsd ?? 0n)
  else await ledger.settle(charge, 'assumed', undefined)
}

/** Counts the tokens that a paid answer took, once it is through. */
export function settleTokens(
  res: ServerResponse,
  exchange: Exchange,
  ledger: Pick<GuardLedger, 'store'>,
): void {
  whenThrough(res, exchange, async (isWhole) => {
    const { charge } = exchange.payment
    const { usage } = exchange.relay
    if (charge && usage && isWhole) await tokensTaken(ledger, charge, usage)
  })
}

/** Never rejects: until it is written, and where the answer counts nothing, the most counts. */
async function tokensTaken(
  { store }: Pick<GuardLedger, 'store'>,
  { id }: Charge,
  usage: Usage,
): Promise<void> {
  const tokens = usage.inputTokens + usage.outputTokens
  if (tokens > 0) await store.settleTokens(id, tokens).catch(() => undefined)
}

/** @param work with whether the answer went out to its end; it must not reject */
function whenThrough(
  res: ServerResponse,
  exchange: Exchange,
  work: (isWhole: boolean) => Promise<void>,
): void {
  res.once('close', () => {
    const { usageToCome, cut } = exchange.relay
    const isWhole = res.writableFinished && !cut && !exchange.relay.truncated
    void (usageToCome ?? Promise.resolve()).then(async () => await work(isWhole))
  })
}
