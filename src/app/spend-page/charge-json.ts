/** A charge as JSON, for `/api/charges`, the exports and the live events. */
import { takenOf, type Charge } from '../../core/charge/charge.ts'
import { formatUnits, formatUsd } from '../../core/money/money.ts'
import type { ExplorerLink } from './explorers.ts'

/** Money as strings, times in RFC 3339, unknown values as `null`. */
export interface ChargeJson {
  readonly charge: string
  readonly time: string
  readonly updated: string
  readonly state: Charge['state']
  readonly proof: Charge['proof'] | null
  readonly reason: string | null
  readonly caller: string
  readonly model: string
  readonly route: string
  readonly payer: string
  readonly seller: string
  readonly network: string
  readonly asset: string
  /** Signed amount, in whole units of the asset. */
  readonly amount: string
  /** Signed amount, in smallest units of the asset. */
  readonly amount_atomic: string
  /** The amount proven on chain, if it is lower (`upto`). */
  readonly charged: string | null
  readonly charged_atomic: string | null
  /** The amount that counts: the proven amount if known, else the signed one. */
  readonly usd: string | null
  /** Value of the signed amount. */
  readonly signed_usd: string | null
  readonly pay_to: string
  readonly transaction: string | null
  /** Link to the transaction on a block explorer; absent without a transaction, or where no explorer knows the chain. */
  readonly transaction_url?: string
  readonly request: string
}

/** The columns of an export, in order. */
export const CHARGE_COLUMNS = [
  'charge',
  'time',
  'updated',
  'state',
  'proof',
  'reason',
  'caller',
  'model',
  'route',
  'payer',
  'seller',
  'network',
  'asset',
  'amount',
  'amount_atomic',
  'charged',
  'charged_atomic',
  'usd',
  'signed_usd',
  'pay_to',
  'transaction',
  'transaction_url',
  'request',
] as const satisfies readonly (keyof ChargeJson)[]

/** What every JSON form of a charge has in common. */
type ChargeBasics = Pick<
  ChargeJson,
  | 'charge'
  | 'time'
  | 'updated'
  | 'state'
  | 'proof'
  | 'reason'
  | 'payer'
  | 'seller'
  | 'network'
  | 'asset'
  | 'amount'
  | 'amount_atomic'
  | 'pay_to'
  | 'transaction'
>

/** The payment itself: who is paid what, in which state, without who asked and what it costs. */
export function chargeBasics(charge: Charge): ChargeBasics {
  return {
    charge: charge.id,
    time: new Date(charge.reservedAt).toISOString(),
    updated: new Date(charge.updatedAt).toISOString(),
    state: charge.state,
    proof: charge.proof ?? null,
    reason: charge.reason ?? null,
    payer: charge.payer,
    seller: charge.seller,
    network: charge.network,
    asset: charge.symbol,
    amount: formatUnits(charge.amount, charge.decimals),
    amount_atomic: charge.amount.toString(),
    pay_to: charge.payTo,
    transaction: charge.transaction ?? null,
  }
}

/** Converts a charge. */
export function chargeJson(charge: Charge, link: ExplorerLink): ChargeJson {
  const { transaction, network, charged } = charge
  const { microUsd } = takenOf(charge)
  const url = transaction === undefined ? undefined : link(network, transaction)
  return {
    ...chargeBasics(charge),
    caller: charge.caller,
    model: charge.model,
    route: charge.route,
    charged: charged === undefined ? null : formatUnits(charged, charge.decimals),
    charged_atomic: charged?.toString() ?? null,
    usd: microUsd === undefined ? null : formatUsd(microUsd),
    signed_usd: charge.microUsd === undefined ? null : formatUsd(charge.microUsd),
    ...(url === undefined ? {} : { transaction_url: url }),
    request: charge.requestId,
  }
}
