/** The receipt of a payment, as commands show it. */
import { spentOf } from '../../core/request/exchange.ts'
import type { Exchange } from '../../core/request/exchange.ts'
import { formatUnits, formatUsd } from '../../core/money/money.ts'

/** The receipt of a payment. */
export interface PaymentReceipt {
  readonly requestId: string
  readonly spent: 'no' | 'yes' | 'unknown'
  readonly charge: string | undefined
  /** In whole tokens with the symbol. */
  readonly amount: string | undefined
  readonly usd: string | undefined
  readonly network: string | undefined
  readonly payTo: string | undefined
  readonly transaction: string | undefined
}

/** The receipt of a call from the state of its charge. */
export function replyReceipt(exchange: Exchange): PaymentReceipt {
  const { id } = exchange
  const { charge } = exchange.payment
  const spent = spentOf(exchange)
  if (!charge || spent === 'no') {
    return {
      requestId: id,
      spent,
      charge: undefined,
      amount: undefined,
      usd: undefined,
      network: undefined,
      payTo: undefined,
      transaction: undefined,
    }
  }
  return {
    requestId: id,
    spent,
    charge: charge.id,
    amount: `${formatUnits(charge.amount, charge.decimals)} ${charge.symbol}`,
    usd: charge.microUsd === undefined ? undefined : formatUsd(charge.microUsd),
    network: charge.network,
    payTo: charge.payTo,
    transaction: charge.transaction,
  }
}
