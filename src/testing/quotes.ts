import { BUILT_IN_ASSETS } from '../core/money/assets.ts'
import { vetOffers, type Quote } from '../core/policy/gate.ts'
import type { GatePolicy } from '../core/policy/gate-policy.ts'
import { decodeChallenge, type Challenge } from '../core/x402/x402.ts'
import { encodeBase64Json } from '../core/x402/wire-json.ts'

/** Where test quotes are paid. */
export const origin = 'https://seller.test'

/** Who is paid in test offers. */
export const payee = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'

/** An x402 v2 offer that the tests' policy lets through. */
export const offerV2 = {
  scheme: 'exact',
  network: 'eip155:84532' as const,
  amount: '1000',
  asset: '0x036CbD53842c5426634e7929541eC2318f3dCF7e',
  payTo: payee,
  maxTimeoutSeconds: 60,
  extra: { name: 'USDC', version: '2' },
}

/** The same offer as x402 v1 spells it. */
export const offerV1 = {
  scheme: 'exact',
  network: 'base-sepolia',
  maxAmountRequired: '1000',
  asset: offerV2.asset,
  payTo: payee,
  maxTimeoutSeconds: 60,
  resource: `${origin}/v1/chat/completions`,
  description: 'chat',
  mimeType: 'application/json',
  extra: { name: 'USDC', version: '2' },
}

/** Offers, decoded. v2 offers come in the header, v1 offers in the body. */
export function challengeOf(version: 1 | 2, ...accepts: object[]): Challenge {
  const message = {
    x402Version: version,
    accepts,
    ...(version === 2 ? { resource: { url: `${origin}/v1/chat/completions` } } : {}),
  }
  return decodeChallenge({
    header: (name) => (version === 2 && name === 'payment-required' ? encodeBase64Json(message) : undefined),
    body: Buffer.from(version === 1 ? JSON.stringify(message) : '{}'),
    truncated: false,
  })
}

/** A quote that passed the gate. */
export function quoteOf(version: 1 | 2 = 2, change: object = {}, policy: Partial<GatePolicy> = {}): Quote {
  const offer = { ...(version === 2 ? offerV2 : offerV1), ...change }
  return vetOffers(challengeOf(version, offer), origin, {
    networks: ['eip155:84532', 'eip155:8453'],
    assets: BUILT_IN_ASSETS,
    origins: new Set([origin]),
    maxMicroUsd: 100_000n,
    maxValiditySeconds: 600,
    payees: () => undefined,
    supports: () => true,
    ...policy,
  })[0]
}
