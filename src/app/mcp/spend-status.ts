/** `spend_status`: what the budgets hold, and the agent's last payments. */
import { formatUnits, formatUsd } from '../../core/money/money.ts'
import { claimFacts, readBudgets } from '../../io/ledger/budget-status.ts'
import type { BuyingContext } from '../buying/buying-context.ts'

const LATEST = 10

/** @param caller whose payments are listed */
export async function spendStatus(
  { ledger, config, clock }: Pick<BuyingContext, 'ledger' | 'config' | 'clock'>,
  caller: string,
): Promise<Readonly<Record<string, unknown>>> {
  const budgets = await readBudgets(ledger.store, config.budgets, clock.now())
  const charges = await ledger.store.charges({ caller, limit: LATEST })
  return {
    ceiling_usd: config.policy.maxMicroUsd === 'none' ? null : formatUsd(config.policy.maxMicroUsd),
    budgets: budgets.map(({ claim, totals }) => {
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
