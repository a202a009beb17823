/**
 * Payments signed by another program: the 402 that such a payer is shown, and the checks on the payment that it returns
 * (rule 6). Only the vetted terms are shown, so a payer that follows them cannot pay anything else; what it returns is
 * nevertheless checked field by field.
 */
import { z } from 'zod'
import { findNetwork } from '../money/assets.ts'
import { toTyped, toWire } from './eip3009.ts'
import type { AuthorizationRecord } from '../charge/charge.ts'
import { EXACT_PROXY } from '../evm-contracts.ts'
import { readExternalPermit, sponsoringFor, type ExternalPermit } from './external-permit.ts'
import { parseAtomic } from '../money/money.ts'
import { permit2Payload, typedPermit2 } from './permit2.ts'
import type { Quote } from '../policy/gate.ts'
import type { TypedAuthorization, TypedPermit2 } from './typed-message.ts'
import { type Offer } from '../x402/x402.ts'
import { decodeBase64Json } from '../x402/wire-json.ts'
import { EVM_ADDRESS } from '../evm.ts'

/** The largest payment header that is read, in bytes. Real ones are 1 to 3 kB. */
const MAX_PAYMENT_BYTES = 32_768

/** Facilitators refuse authorizations that are about to expire. */
const MIN_REMAINING_SECONDS = 5

const ADDRESS = z.string().regex(EVM_ADDRESS)
const SECONDS = z.string().regex(/^\d{1,15}$/)

const SIGNATURE = z.string().regex(/^0x[0-9a-fA-F]{130}$/)
const AMOUNT = z.string().max(80)

/** A payload of scheme `exact` by EIP-3009. */
const TRANSFER = z.object({
  signature: SIGNATURE,
  authorization: z.object({
    from: ADDRESS,
    to: ADDRESS,
    value: AMOUNT,
    validAfter: SECONDS,
    validBefore: SECONDS,
    nonce: z.string().regex(/^0x[0-9a-fA-F]{64}$/),
  }),
})

/** A payload of scheme `exact` by Permit2. */
const PERMIT2 = z.object({
  signature: SIGNATURE,
  permit2Authorization: z.object({
    from: ADDRESS,
    permitted: z.object({ token: ADDRESS, amount: AMOUNT }),
    spender: ADDRESS,
    nonce: AMOUNT,
    deadline: SECONDS,
    witness: z.object({ to: ADDRESS, validAfter: SECONDS }),
  }),
})

/** An x402 v2 payment; further top-level fields, such as resource, are dropped. */
const PAYMENT = z.object({
  x402Version: z.literal(2),
  accepted: z.object({
    scheme: z.literal('exact'),
    network: z.string().max(64),
    amount: AMOUNT,
    asset: ADDRESS,
    payTo: ADDRESS,
  }),
  payload: z.union([TRANSFER, PERMIT2]),
  extensions: z.unknown().optional(),
})

/** Why a payment cannot be used: a fixed code for the error and the audit record. */
export type ExternalFault =
  | 'unreadable'
  | 'terms'
  | 'payee'
  | 'amount'
  | 'validity'
  | 'domain'
  | 'signature'
  | 'nonce'

/** A payment whose fields match the quote. Its signature is not checked here; the shim does that. */
export interface ExternalPayment {
  readonly record: AuthorizationRecord
  /** The message that must have been signed, composed from the quote. */
  readonly typed: TypedAuthorization | TypedPermit2
  /** 65 bytes, recovery id 27 or 28. */
  readonly signature: `0x${string}`
  /** The Permit2 allowance sent with the payment, if the seller accepts one. */
  readonly permit?: ExternalPermit | undefined
}

/** Whether an external payer can pay an offer: `exact` on an EVM network, by a method that the payer supports. */
export function isExternallyPayable(offer: Offer, methods: readonly string[]): boolean {
  const { assetTransferMethod: method = 'eip3009', paymentFlow: flow } = offer.extra as {
    readonly assetTransferMethod?: unknown
    readonly paymentFlow?: unknown
  }
  return (
    offer.scheme === 'exact' &&
    offer.network.startsWith('eip155:') &&
    typeof method === 'string' &&
    methods.includes(method) &&
    (flow === undefined || flow === 'authorization' || flow === 'upfront')
  )
}

/**
 * The x402 v2 challenge that an external payer is shown: only the vetted offer, whatever version and offers the seller sent.
 * EIP-712 domain and validity are ours.
 * @param url the address that the payer calls, repeated as the resource
 */
export function challengeFor(quote: Quote, url: string): Readonly<Record<string, unknown>> {
  return {
    x402Version: 2,
    error: 'Payment required',
    resource: { url, description: 'A payment that Tollway vetted', mimeType: 'application/json' },
    accepts: [
      {
        scheme: 'exact',
        network: quote.asset.network,
        amount: quote.amount.toString(),
        asset: quote.asset.address,
        payTo: quote.payTo,
        maxTimeoutSeconds: quote.validitySeconds,
        extra: {
          ...quote.asset.domain,
          ...(quote.method === 'permit2' ? { assetTransferMethod: 'permit2' } : {}),
        },
      },
    ],
    ...sponsoringFor(quote),
  }
}

/**
 * Reads the payment header of an external payer and checks it against the quote.
 * @param nowMs milliseconds since the epoch
 * @param maxValiditySeconds the latest `validBefore`, seconds from now; the quote's own window for payments signed just now
 * @returns the payment, or what is wrong with it
 */
export function readExternalPayment(
  header: string,
  quote: Quote,
  nowMs: number,
  maxValiditySeconds: number,
): ExternalPayment | ExternalFault {
  if (header.length > MAX_PAYMENT_BYTES) return 'unreadable'
  const parsed = PAYMENT.safeParse(decodeBase64Json(header))
  if (!parsed.success) return 'unreadable'
  const { accepted, payload, extensions } = parsed.data
  const sameTerms =
    (findNetwork(accepted.network)?.id ?? accepted.network) === quote.asset.network &&
    accepted.asset.toLowerCase() === quote.asset.address &&
    accepted.payTo.toLowerCase() === quote.payTo &&
    parseAtomic(accepted.amount) === quote.amount
  if (!sameTerms) return 'terms'
  const record = 'authorization' in payload ? transferOf(payload, quote) : permit2Of(payload, quote)
  if (typeof record === 'string') return record
  const now = Math.floor(nowMs / 1000)
  if (record.validAfter > now) return 'validity'
  if (record.validBefore < now + MIN_REMAINING_SECONDS) return 'validity'
  if (record.validBefore > now + maxValiditySeconds) return 'validity'
  const typed = record.method === 'permit2' ? typedPermit2(quote, record) : toTyped(quote, record)
  if (!typed) return 'domain'
  const signature = withRecoveryId(payload.signature)
  if (signature === undefined) return 'signature'
  const permit = readExternalPermit(extensions, quote, record, now + maxValiditySeconds)
  return { record, typed, signature, permit }
}

/** The payload that is sent to the seller: the vetted fields, and the signature that covers them. */
export function externalPayload(
  quote: Quote,
  { record, typed, signature }: ExternalPayment,
): Readonly<Record<string, unknown>> {
  return typed.kind === 'eip3009'
    ? { signature, authorization: toWire(quote, record) }
    : permit2Payload(typed, signature)
}

function transferOf(
  { authorization }: z.output<typeof TRANSFER>,
  quote: Quote,
): AuthorizationRecord | ExternalFault {
  if (quote.method !== 'eip3009') return 'terms'
  if (authorization.to.toLowerCase() !== quote.payTo) return 'payee'
  if (parseAtomic(authorization.value) !== quote.amount) return 'amount'
  return {
    from: authorization.from.toLowerCase(),
    nonce: authorization.nonce.toLowerCase(),
    validAfter: Number(authorization.validAfter),
    validBefore: Number(authorization.validBefore),
  }
}

function permit2Of(
  { permit2Authorization }: z.output<typeof PERMIT2>,
  quote: Quote,
): AuthorizationRecord | ExternalFault {
  const { from, permitted, spender, nonce, deadline, witness } = permit2Authorization
  if (quote.method !== 'permit2' || spender.toLowerCase() !== EXACT_PROXY.toLowerCase()) return 'terms'
  if (witness.to.toLowerCase() !== quote.payTo) return 'payee'
  if (permitted.token.toLowerCase() !== quote.asset.address) return 'terms'
  if (parseAtomic(permitted.amount) !== quote.amount) return 'amount'
  const number = parseAtomic(nonce)
  if (number === undefined) return 'unreadable'
  return {
    from: from.toLowerCase(),
    nonce: `0x${number.toString(16).padStart(64, '0')}`,
    validAfter: Number(witness.validAfter),
    validBefore: Number(deadline),
    method: 'permit2',
  }
}

/** Some signers write the recovery id as 0 or 1; tokens accept only 27 or 28. */
function withRecoveryId(signature: string): `0x${string}` | undefined {
  const body = signature.slice(2, 130).toLowerCase()
  const id = Number.parseInt(signature.slice(130), 16)
  if (id === 0 || id === 1) return `0x${body}${(id + 27).toString(16)}`
  return id === 27 || id === 28 ? `0x${body}${id.toString(16)}` : undefined
}
