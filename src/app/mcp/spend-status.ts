/** `spend_status`: what the budgets hold, and the agent's last payments. */
import type { Claim } from '../../core/budget/budget.ts'
import { formatUnits, formatUsd } from '../../core/money/money.ts'
import { claimFacts, readBudgets } from '../../io/ledger/budget-status.ts'
import { callerRules, withCallerRules } from '../../core/budget/caller-budgets.ts'
import type { BuyingContext } from '../buying/buying-context.ts'
import type { PayingCaller } from '../buying/pay.ts'

const LATEST = 10

/** @param caller whose payments are listed; what other callers and teams spent is none of its business */
export async function spendStatus(
  { ledger, config, clock }: Pick<BuyingContext, 'ledger' | 'config' | 'clock'>,
  caller: PayingCaller,
): Promise<Readonly<Record<string, unknown>>> {
  const rules = withCallerRules(config.budgets, callerRules([caller]))
  const budgets = await readBudgets(ledger.store, rules, clock.now())
  const charges = await ledger.store.charges({ caller: caller.id, limit: LATEST })
  return {
    ceiling_usd: config.policy.maxMicroUsd === 'none' ? null : formatUsd(config.policy.maxMicroUsd),
    budgets: budgets
      .filter(({ claim }) => concerns(claim, caller))
      .map(({ claim, totals }) => {
        const { wanted_usd: _usd, wanted: _wanted, ...facts } = claimFacts(claim, totals)
        return facts
      }),
    latest: charges.map(
      ({ id, state, symbol, decimals, amount, microUsd, seller, reservedAt, transaction }) => ({
        charge: id,
        at: new Date(reservedAt).toISOString(),
        state,
        amount: `${formatUnits(amount, decimals)} ${symbol}`,
        usd: microUsd === undefined ? null : formatUsd(microUsd),
        seller,
        transaction: transaction ?? null,
      }),
    ),
  }
}

function concerns({ per, subject }: Claim, { id, team }: PayingCaller): boolean {
  if (per === 'caller') return subject === id
  return per === 'team' ? subject === team : true
}
