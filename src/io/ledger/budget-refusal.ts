/** Refuses requests that a budget does not allow, and reports limits that were passed but do not refuse. */
import {
  claimsFor,
  fits,
  NO_TOTALS,
  type BudgetRule,
  type Claim,
  type Spend,
  type Totals,
} from '../../core/budget/budget.ts'
import { BudgetExhaustedError } from '../../core/budget/budget-exhausted.ts'
import { pendingAdvice, refusalMessage } from '../../core/budget/budget-messages.ts'
import type { Charge } from '../../core/charge/charge.ts'
import type { Clock } from '../../core/clock.ts'
import type { TollwayError } from '../../core/errors.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import { formatUsd } from '../../core/money/money.ts'
import { claimFacts } from './budget-status.ts'
import type { ChargeTrail } from './charge-trail.ts'
import type { Notice } from '../store/contracts/charges.ts'
import type { BudgetStore } from '../store/contracts/budgets.ts'

/** What {@link BudgetRefusals} works with. */
export interface BudgetRefusalContext {
  readonly store: Pick<BudgetStore, 'totals' | 'freeAt'>
  readonly clock: Clock
  readonly trail: Pick<ChargeTrail, 'keep'>
  readonly emit: Observer
}

/** Turns claims that do not fit into refusals, records and events. */
export class BudgetRefusals {
  readonly #context: BudgetRefusalContext

  constructor(context: BudgetRefusalContext) {
    this.#context = context
  }

  /**
   * Refuses a price that no longer fits, without reserving it, so that the budget guard can answer before the seller is asked.
   * @throws TollwayError `budget_exhausted`, `store_unavailable`
   */
  async refuseEarly(spend: Spend, rules: readonly BudgetRule[]): Promise<void> {
    const claims = claimsFor(rules, spend, this.#context.clock.now()).filter(
      ({ enforce }) => enforce !== false,
    )
    await this.refuseOverRequestLimit(claims)
    const checked = lasting(claims)
    const totals = await this.#context.store.totals(checked)
    for (const [index, claim] of checked.entries()) {
      const held = totals[index] ?? NO_TOTALS
      if (!fits(held, claim)) throw await this.refusal(claim, held, true)
    }
  }

  /**
   * Refuses a price over an enforced limit per request.
   * @returns the limits that would refuse if they were enforced
   * @throws TollwayError `budget_exhausted`
   */
  async refuseOverRequestLimit(claims: readonly Claim[]): Promise<Notice[]> {
    const over = claims.filter((claim) => claim.window === 'request' && !fits(NO_TOTALS, claim))
    const enforced = over.find(({ enforce }) => enforce !== false)
    if (enforced) throw await this.refusal(enforced, NO_TOTALS, false)
    return over.map((claim) => ({ kind: 'would_refuse', claim, totals: NO_TOTALS }))
  }

  /** The refusal by one budget. @param early whether the seller was not asked yet */
  async refusal(claim: Claim, totals: Totals, early: boolean): Promise<TollwayError> {
    this.#context.emit({ type: 'budget_refused', claim, totals, early })
    // Only for the message: the refusal does not depend on it.
    const freeAt =
      claim.window === 'rolling' ? await this.#context.store.freeAt(claim).catch(() => undefined) : undefined
    const advice = pendingAdvice(claim, totals)
    return new BudgetExhaustedError(claim.budget, claim.routeTo, {
      message: `${refusalMessage(claim, totals, freeAt)}${advice.length > 0 ? '.' : ''}`,
      advice,
      details: { ...claimFacts(claim, totals), early },
    })
  }

  /** Reports a passed limit that does not refuse: to the audit file and to the observers; a level to the observers alone. */
  async report({ kind, claim, totals }: Notice, charge: Charge): Promise<void> {
    if (kind === 'level') return this.#context.emit({ type: 'budget_level', claim, totals })
    const soft = claim.soft === undefined || kind !== 'soft' ? {} : { soft_usd: formatUsd(claim.soft) }
    const facts = { charge: charge.id, request: charge.requestId, ...claimFacts(claim, totals), ...soft }
    await this.#context.trail.keep(kind === 'soft' ? 'budget.soft_limit' : 'budget.would_refuse', facts)
    this.#context.emit({ type: kind === 'soft' ? 'budget_soft_limit' : 'budget_would_refuse', claim, totals })
  }
}

/**
 * The claims on windows that outlive the request and are therefore kept in the store.
 * @param levels shares of the limits at which observers are told, millionths
 */
export function lasting(claims: readonly Claim[], levels: readonly bigint[] = []): Claim[] {
  const kept = claims.filter((claim) => claim.window !== 'request')
  return levels.length === 0 ? kept : kept.map((claim) => ({ ...claim, levels }))
}
