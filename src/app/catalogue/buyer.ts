/** Who would pay for what is found: the payers of the configuration, and what its policy allows. Nothing here can sign. */
import type { Asset } from '../../core/money/assets.ts'
import { findNetwork } from '../../core/money/assets.ts'
import { methodOf } from '../../core/policy/read-offer.ts'
import { ANY_PAYEE, type AllowedPayees } from '../../core/policy/payees.ts'
import { isSolanaNetwork } from '../../core/money/address.ts'
import type { GatePolicy } from '../../core/policy/gate-policy.ts'
import type { Offer } from '../../core/x402/x402.ts'
import type { ResolvedConfig, ResolvedPayer } from '../config/resolve/resolved.ts'

/** A payer, as far as it matters before it is asked to pay. */
export interface PayingWallet {
  readonly name: string
  /** CAIP-2. */
  readonly networks: readonly string[]
  supports(offer: Offer): boolean
}

/** Who would pay, and within which limits. */
export interface Buyer {
  readonly wallets: readonly PayingWallet[]
  readonly assets: readonly Asset[]
  /** Micro-USD. */
  readonly maxMicroUsd: bigint | undefined
  readonly maxValiditySeconds: number
  readonly payTo: ReadonlyMap<string, AllowedPayees>
}

type BuyerConfig = Pick<ResolvedConfig, 'payers' | 'assets' | 'policy'>

/** The payers that can pay a seller that they were not bought vouchers for. */
export function buyerOf({ payers, assets, policy }: BuyerConfig): Buyer {
  const wallets = [...payers].flatMap(([name, payer]): PayingWallet[] =>
    payer.kind === 'obol'
      ? []
      : [{ name, networks: payer.networks, supports: (offer) => supports(payer, offer) }],
  )
  const { maxMicroUsd, maxValiditySeconds, payTo } = policy
  return {
    wallets,
    assets,
    maxMicroUsd: maxMicroUsd === 'none' ? undefined : maxMicroUsd,
    maxValiditySeconds,
    payTo,
  }
}

/** What a kind of payer can pay. The payer itself judges again before it signs. */
function supports({ kind }: ResolvedPayer, offer: Offer): boolean {
  if (isSolanaNetwork(offer.network)) return kind === 'solana' && methodOf(offer) !== undefined
  if (kind === 'solana') return false
  return (
    offer.scheme === 'exact' || (kind === 'direct' && (offer.scheme === 'upto' || offer.mpp !== undefined))
  )
}

/** The gate's policy for one wallet and one seller. */
export function gateFor(buyer: Buyer, wallet: PayingWallet, origin: string): GatePolicy {
  const allowed = buyer.payTo.get(origin)
  return {
    networks: wallet.networks,
    assets: buyer.assets,
    origins: new Set([origin]),
    maxMicroUsd: buyer.maxMicroUsd,
    maxValiditySeconds: buyer.maxValiditySeconds,
    payees: () => (allowed === ANY_PAYEE ? undefined : allowed),
    supports: (offer) => wallet.supports(offer),
  }
}

/** Networks by their short names, for people. */
export function networkNamesOf(networks: readonly string[]): string {
  return [...new Set(networks.map((network) => findNetwork(network)?.alias ?? network))]
    .slice(0, 6)
    .join(', ')
}
