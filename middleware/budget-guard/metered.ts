/** Calls without a payment: what they may cost and use at most is reserved, and what the answer tells is booked. */
import type { ServerResponse } from 'node:http'
import { claimsFor, type BudgetRule } from '../../src/core/budget/budget.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import { KEYED_PAYER, METERED_NETWORK, METERED_SYMBOL } from '../../src/core/charge/metered.ts'
import { TollwayError } from '../../src/core/errors.ts'
import { mostTokens } from '../../src/core/metering/token-counts.ts'
import { costOf, highestCost, isPriced } from '../../src/core/metering/token-prices.ts'
import type { Exchange } from '../../src/core/request/exchange.ts'
import type { Candidate, ModelInfo } from '../../src/core/routing/route.ts'
import type { Usage } from '../../src/core/stream/usage.ts'
import type { LedgerUse } from '../../src/io/ledger/ledger-use.ts'
import { namesOf } from '../../src/payment/reserve-terms.ts'

/** What the guard does with the ledger. */
export type GuardLedger = LedgerUse<
  'reserve' | 'authorize' | 'settle' | 'release' | 'noteUsage',
  'settleTokens'
>

/** A call without a payment. */
interface MeteredCall {
  readonly exchange: Exchange
  readonly candidate: Candidate
  /** As it is sent, decoded. */
  readonly body: Uint8Array | undefined
  readonly rules: readonly BudgetRule[]
  /** Input tokens that the body does not show; default 0. */
  readonly addedInputTokens?: number | undefined
  /** Milliseconds since the epoch. */
  readonly now: number
}

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
 * @throws TollwayError `budget_exhausted`, `store_unavailable`, `audit_unavailable`
 */
export async function reserveMetered(
  ledger: Pick<GuardLedger, 'reserve'>,
  { exchange, candidate, body, rules, addedInputTokens = 0, now }: MeteredCall,
): Promise<Charge | undefined> {
  const { route } = candidate
  const seen = mostTokens(body, exchange.endpoint, route.info)
  const counts = { ...seen, inputTokens: seen.inputTokens + addedInputTokens }
  const microUsd = isPriced(route.info) ? highestCost(route.info, counts) : undefined
  const seller = URL.canParse(route.apiBase) ? new URL(route.apiBase).origin : route.apiBase
  const terms = {
    ...namesOf(exchange, candidate),
    requestId: exchange.id,
    caller: exchange.caller.id,
    model: exchange.request.model ?? '',
    route: route.modelName,
    payer: KEYED_PAYER,
    seller,
    apiBase: route.apiBase,
    network: METERED_NETWORK,
    asset: METERED_NETWORK,
    symbol: METERED_SYMBOL,
    decimals: 6,
    payTo: '',
    amount: microUsd ?? 0n,
    microUsd,
    tags: exchange.payment.tags,
    tokens: BigInt(counts.inputTokens) + BigInt(counts.outputTokens),
  }
  const claims = claimsFor(rules, terms, now)
  if (microUsd === undefined && claims.length === 0) return undefined
  try {
    return await ledger.reserve(terms, rules, false)
  } catch (error) {
    const isOutage =
      error instanceof TollwayError &&
      (error.code === 'store_unavailable' || error.code === 'audit_unavailable')
    if (isOutage && claims.every(({ enforce }) => enforce === false)) return undefined
    throw error
  }
}

/** Books what the answer cost, once it is through: by its usage, or the most it may have cost where it told none. */
export function settleMetered(
  res: ServerResponse,
  exchange: Exchange,
  ledger: Pick<GuardLedger, 'settle' | 'noteUsage' | 'store'>,
): void {
  whenThrough(res, exchange, async (isWhole) => {
    const { metered: charge } = exchange.payment
    if (!charge) return
    exchange.payment.metered = undefined
    const { usage } = exchange.relay
    const info = exchange.routing.candidate?.route.info
    // Part of a stream tells part of the usage: what was billed may be more.
    await settleByUsage(ledger, charge, info, isWhole ? usage : undefined)
  })
}

/** Books what the usage of a call costs; without one, the most that it may have cost. Never rejects. */
export async function settleByUsage(
  ledger: Pick<GuardLedger, 'settle' | 'noteUsage' | 'store'>,
  charge: Charge,
  info: ModelInfo | undefined,
  usage: Usage | undefined,
): Promise<void> {
  if (usage) {
    await ledger.noteUsage(charge.id, usage)
    await tokensTaken(ledger, charge, usage)
    const cost = isPriced(info) ? costOf(info, usage) : 0n
    await ledger.settle(charge, 'receipt', undefined, false, cost)
  } else await ledger.settle(charge, 'assumed', undefined)
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

/** Never rejects: until it is written, the most counts. */
async function tokensTaken(
  { store }: Pick<GuardLedger, 'store'>,
  { id }: Charge,
  usage: Usage,
): Promise<void> {
  await store.settleTokens(id, usage.inputTokens + usage.outputTokens).catch(() => undefined)
}

/** @param work with whether the answer went out to its end; it must not reject */
function whenThrough(
  res: ServerResponse,
  exchange: Exchange,
  work: (isWhole: boolean) => Promise<void>,
): void {
  res.once('close', () => {
    const { usageToCome, cut } = exchange.relay
    const isWhole = res.writableFinished && !cut
    void (usageToCome ?? Promise.resolve()).then(async () => await work(isWhole))
  })
}
