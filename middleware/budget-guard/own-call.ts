/** Calls that a handler of the host sends itself: bounded before the handler runs, settled by what it reports or answers. */
import type { ServerResponse } from 'node:http'
import { needsUsd, type BudgetRule } from '../../src/core/budget/budget.ts'
import { matchesBudget } from '../../src/core/budget/budget-match.ts'
import { KEYED_PAYER } from '../../src/core/charge/metered.ts'
import type { Clock } from '../../src/core/clock.ts'
import { TollwayError } from '../../src/core/errors.ts'
import { printable } from '../../src/core/printable.ts'
import type { Exchange } from '../../src/core/request/exchange.ts'
import type { Candidate } from '../../src/core/routing/route.ts'
import { readUsage, type Usage } from '../../src/core/stream/usage.ts'
import { authorizeMetered } from '../../src/io/ledger/authorize-metered.ts'
import { namesOf } from '../../src/payment/reserve-terms.ts'
import { setupError } from '../http/setup-error.ts'
import type { ModelPrices, PriceList } from '../http/options/prices-option.ts'
import { tapAnswer } from './answer-tap.ts'
import { reserveMetered, settleByUsage, type GuardLedger } from './metered.ts'

/** In place of a seller's address, which only the handler knows. */
const OWN_HANDLER = '(handler)'

/** A request that a handler of the host will send. */
export interface OwnCall {
  readonly exchange: Exchange
  readonly res: ServerResponse
  readonly ledger: GuardLedger
  readonly rules: readonly BudgetRule[]
  readonly clock: Clock
}

/**
 * Reserves the most that the call may cost, and records durably that it is about to be sent. The usage that the handler reports
 * settles it, else that of its answer; without any the most counts.
 * @returns `false` when the client left meanwhile: nothing may be sent
 * @throws TollwayError `model_not_found` for a model without a price that a budget in USD needs, `budget_exhausted`,
 * `setup_error`, `store_unavailable`, `audit_unavailable`
 */
export async function holdOwnCall(call: OwnCall, prices: PriceList): Promise<boolean> {
  const { exchange, res, ledger, rules, clock } = call
  const now = clock.now()
  const { body, model = '' } = exchange.request
  if (body === undefined) {
    throw setupError(
      'budgetGuard() found no model in the request: nothing read its body. Nothing was sent.',
      'Mount readBody() before budgetGuard().',
    )
  }
  const found = prices(model)
  const candidate = candidateOf(found, model)
  if (!found) refuseUnpriced(exchange, candidate, rules)
  const { addedInputTokens } = found ?? {}
  const info = found?.info
  const request = { exchange, candidate, body, info, rules, addedInputTokens, now }
  const held = await reserveMetered(ledger, request)
  exchange.routing.route ??= found?.name
  if (!held) return !res.closed
  const charge = await authorizeMetered(ledger, held.charge)
  if (res.closed) {
    await ledger.release(charge, 'client_left')
    return false
  }
  const metered = { ...held, charge, isHandlers: true }
  exchange.payment.metered = metered
  const tap = tapAnswer(res, exchange)
  const settle = async (isWhole: boolean): Promise<void> => {
    await tap.read()
    exchange.payment.metered = undefined
    const { reported, refusedBy } = exchange.relay
    const usage = reported ?? (isWhole ? tap.usage : undefined)
    if (!usage && refusedBy !== undefined) await ledger.release(charge, `status_${refusedBy}`)
    else
      await settleByUsage(ledger, metered, {
        usage,
        isAnswered: usage !== undefined,
        tookMs: clock.now() - now,
      })
  }
  res.once('close', () => void settle(res.writableFinished && !exchange.relay.cut))
  return true
}

/**
 * Adds to the usage that a handler reports of its calls.
 * @throws TypeError for what is no usage
 */
export function addReported({ relay }: Exchange, given: unknown): void {
  if (given === undefined || given === null) return
  const usage = readUsage(given)
  if (!usage) {
    throw new TypeError(
      'reportUsage(): give the usage object of the answer, e.g. completion.usage, or { inputTokens, outputTokens }.',
    )
  }
  relay.reported = relay.reported ? sum(relay.reported, usage) : usage
  relay.usage = relay.reported
}

function sum(a: Usage, b: Usage): Usage {
  return {
    inputTokens: a.inputTokens + b.inputTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    reasoningTokens: (a.reasoningTokens ?? 0) + (b.reasoningTokens ?? 0),
    cachedInputTokens: (a.cachedInputTokens ?? 0) + (b.cachedInputTokens ?? 0),
    cacheWriteTokens: (a.cacheWriteTokens ?? 0) + (b.cacheWriteTokens ?? 0),
    ...(a.seconds === undefined && b.seconds === undefined
      ? {}
      : { seconds: (a.seconds ?? 0) + (b.seconds ?? 0) }),
  }
}

function candidateOf(found: ModelPrices | undefined, model: string): Candidate {
  const route = {
    modelName: found?.name ?? OWN_HANDLER,
    model: undefined,
    apiBase: OWN_HANDLER,
    payer: undefined,
    apiKey: undefined,
    order: 0,
    info: found?.info,
  }
  return { route, remoteModel: model }
}

/** A budget in USD cannot bound what has no price. */
function refuseUnpriced(exchange: Exchange, candidate: Candidate, rules: readonly BudgetRule[]): void {
  const facts = {
    ...namesOf(exchange, candidate),
    caller: exchange.caller.id,
    route: candidate.route.modelName,
    payer: KEYED_PAYER,
    seller: OWN_HANDLER,
    tags: exchange.payment.tags,
  }
  if (!rules.some((rule) => needsUsd(rule) && matchesBudget(rule.match, facts))) return
  const { model } = exchange.request
  const name = model === undefined ? 'a request without a model' : `the model "${printable(model, 100)}"`
  throw new TollwayError({
    code: 'model_not_found',
    message: `No price is known for ${name}, and a budget in USD applies. Nothing was sent.`,
    advice: ['Add it to the prices of budgetGuard(): a name, or a pattern such as "gpt-4o*".'],
    param: 'model',
  })
}
