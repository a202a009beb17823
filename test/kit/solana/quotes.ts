import { BUILT_IN_ASSETS } from '../../../src/core/money/assets.ts'
import type { GatePolicy } from '../../../src/core/policy/gate-policy.ts'
import { vetOffers, type Quote } from '../../../src/core/policy/gate.ts'
import { challengeOf, origin } from '../quotes.ts'
import { createWallet } from './chain.ts'
import { DEVNET, DEVNET_USDC } from './world.ts'

/** Who is paid, and who sends, in test offers on Solana. */
export const solanaPayee = createWallet().address
export const solanaFeePayer = createWallet().address

/** An offer on Solana that the tests' policy lets through, as version 2 or 1 spells it. */
export function solanaOffer(version: 1 | 2, change: object = {}): object {
  return {
    scheme: 'exact',
    network: version === 2 ? DEVNET : 'solana-devnet',
    ...(version === 2
      ? { amount: '1000' }
      : { maxAmountRequired: '1000', resource: `${origin}/v1/chat/completions` }),
    asset: DEVNET_USDC,
    payTo: solanaPayee,
    maxTimeoutSeconds: 60,
    extra: { feePayer: solanaFeePayer },
    ...change,
  }
}

/** A quote on Solana that passed the gate. */
export function solanaQuote(
  version: 1 | 2 = 2,
  change: object = {},
  policy: Partial<GatePolicy> = {},
): Quote {
  return vetOffers(challengeOf(version, solanaOffer(version, change)), origin, {
    networks: [DEVNET],
    assets: BUILT_IN_ASSETS,
    origins: new Set([origin]),
    maxMicroUsd: 100_000n,
    maxValiditySeconds: 600,
    payees: () => undefined,
    supports: () => true,
    ...policy,
  })[0]
}
