/** The funds of the payers: wallets and voucher pools, as reported to the spend page. */

import { findNetwork } from '../../core/money/assets.ts'

/** A payer's balance of one asset. */
export interface WalletFunds {
  readonly payer: string
  /** CAIP-2. */
  readonly network: string
  /** `undefined` for a payer that does not report it. */
  readonly address: string | undefined
  /** Symbol; `undefined` if no node is configured. */
  readonly asset: string | undefined
  /** Value in USD, decimal text; `undefined` when the chain gave no usable answer. */
  readonly usd: string | undefined
}

/** Payments signed in advance for one seller. */
export interface PoolFunds {
  readonly payer: string
  readonly pool: string
  /** The seller's origin. */
  readonly seller: string
  /** Vouchers by state, e.g. `ready`, `held`, `spent`. */
  readonly vouchers: Readonly<Record<string, number>>
  /** USD that the unspent vouchers could take, decimal text. */
  readonly exposureUsd: string
}

/** The funds of all payers. */
export interface Funds {
  readonly wallets: readonly WalletFunds[]
  readonly pools: readonly PoolFunds[]
}

/** Reads the funds; may return recently read values. */
export type FundsSource = () => Promise<Funds>

/** The response of `GET /api/funds`; `null` for values that are not monitored. */
export function fundsJson(funds: Funds | undefined): Record<string, unknown> {
  if (!funds) return { wallets: null, pools: null }
  return {
    wallets: funds.wallets.map(({ payer, network, address, asset, usd }) => ({
      payer,
      network,
      network_name: findNetwork(network)?.alias ?? network,
      address: address ?? null,
      asset: asset ?? null,
      usd: usd ?? null,
    })),
    pools: funds.pools.map(({ payer, pool, seller, vouchers, exposureUsd }) => ({
      payer,
      pool,
      seller,
      vouchers,
      exposure_usd: exposureUsd,
    })),
  }
}
