/**
 * The EIP-2612 allowance that comes with a Permit2 payment signed by an external payer. It is kept only if it matches the
 * payment: same token and payer, Permit2 as the spender, exactly the price. Otherwise the payment is sent without it.
 */
import { z } from 'zod'
import type { AuthorizationRecord } from '../charge/charge.ts'
import { PERMIT2_ADDRESS } from '../evm-contracts.ts'
import { parseAtomic } from '../money/money.ts'
import { sponsoringExtension, typedPermit } from './permit2.ts'
import { GAS_SPONSORING } from '../x402/extensions.ts'
import type { Quote } from '../policy/gate.ts'
import type { TypedPermit } from './typed-message.ts'

/** An allowance whose fields match the payment. Its signature is not checked here; the shim does that. */
export interface ExternalPermit {
  /** The message that must have been signed, composed from the quote. */
  readonly typed: TypedPermit
  readonly signature: `0x${string}`
}

const EXTENSION = z.object({
  [GAS_SPONSORING]: z.object({
    info: z.object({
      from: z.string(),
      asset: z.string(),
      spender: z.string(),
      amount: z.string().max(80),
      nonce: z.string().max(80),
      deadline: z.string().regex(/^[1-9]\d{0,14}$/),
      signature: z.templateLiteral(['0x', z.string().regex(/^[0-9a-fA-F]{130}$/)]),
    }),
  }),
})

/** The extension that an external payer is offered, without the seller's own text. */
export function sponsoringFor({ method, sponsoring }: Quote): Readonly<Record<string, unknown>> {
  if (method !== 'permit2' || sponsoring === undefined) return {}
  const description = 'An EIP-2612 permit for Permit2 may be sent along.'
  return { extensions: { [GAS_SPONSORING]: { info: { description, version: '1' } } } }
}

/**
 * Reads the allowance from the extensions of a payment.
 * @param record the record of the payment, already checked
 * @param latest the latest deadline, seconds since the epoch
 * @returns `undefined` when there is none, or it does not match the payment
 */
export function readExternalPermit(
  extensions: unknown,
  quote: Quote,
  record: AuthorizationRecord,
  latest: number,
): ExternalPermit | undefined {
  if (quote.method !== 'permit2' || quote.sponsoring === undefined) return undefined
  const parsed = EXTENSION.safeParse(extensions)
  if (!parsed.success) return undefined
  const { info } = parsed.data[GAS_SPONSORING]
  const nonce = parseAtomic(info.nonce)
  const fits =
    info.from.toLowerCase() === record.from &&
    info.asset.toLowerCase() === quote.asset.address &&
    info.spender.toLowerCase() === PERMIT2_ADDRESS.toLowerCase() &&
    parseAtomic(info.amount) === quote.amount &&
    Number(info.deadline) <= latest
  if (!fits || nonce === undefined) return undefined
  const typed = typedPermit(quote, { ...record, validBefore: Number(info.deadline) }, nonce)
  return typed && { typed, signature: info.signature }
}

/** The extensions to send with the payment, for `encodePayment`. */
export function permitExtensions(
  quote: Quote,
  permit: ExternalPermit | undefined,
): Readonly<Record<string, unknown>> | undefined {
  return permit && sponsoringExtension(quote, permit.typed, permit.signature)
}
