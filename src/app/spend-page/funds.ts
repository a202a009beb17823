/** What payers have to pay with: wallets and pools of vouchers, as whoever knows them tells the spend page. */

import { findNetwork } from '../../core/money/assets.ts'

/** A payer's balance of one asset. */
export interface WalletFunds {
  readonly payer: string
  /** CAIP-2. */
  readonly network: string
  /** `undefined` for a payer that does not tell it. */
  readonly address: string | undefined
  /** Symbol; `undefined` when no node is configured to ask. */
  readonly asset: string | undefined
  /** Value in USD, decimal text; `undefined` when the chain gave no usable answer. */
  readonly usd: string | undefined
}

/** Payments signed ahead for one seller. */
export interface PoolFunds {
  readonly payer: string
  readonly pool: string
  /** The seller's origin. */
  readonly seller: string
  /** Vouchers by state, e.g. `ready`, `held`, `spent`. */
  readonly vouchers: Readonly<Record<string, number>>
  /** USD that the unspent ones could take, decimal text. */
  readonly exposureUsd: string
}

/** What there is to pay with. */
export interface Funds {
  readonly wallets: readonly WalletFunds[]
  readonly pools: readonly PoolFunds[]
}

/** Reads the funds; may answer from what it read a short time ago. */
export type FundsSource = () => Promise<Funds>

/** Funds as `GET /api/funds` tells them; `null` for what nobody watches. */
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
