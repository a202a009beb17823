/** A payer that signs nothing: for tests against sellers that verify nothing. */
import { randomBytes } from 'node:crypto'
import { systemClock, type Clock } from '../core/clock.ts'
import { composeAuthorization, toWire } from '../core/payer/eip3009.ts'
import type { Authorization, ChargeOutcome, Provider } from '../core/payer/provider.ts'
import { Quote } from '../core/policy/gate.ts'
import { encodePayment, type Offer } from '../core/x402/x402.ts'

/** Options of {@link toyPayer}. */
export interface ToyPayerOptions {
  /** CAIP-2 ids; default Base Sepolia. */
  readonly networks?: readonly string[] | undefined
  readonly clock?: Clock | undefined
}

/** A payer that remembers what it was asked for. */
export interface ToyPayer extends Provider {
  /** The quotes it authorized, oldest first. */
  readonly authorized: readonly Quote[]
  /** How its charges ended, by charge id. */
  readonly outcomes: ReadonlyMap<string, ChargeOutcome>
}

/** No one has its key. */
const ADDRESS = `0x${'70'.repeat(20)}`
const SIGNATURE = `0x${'00'.repeat(65)}`

/** A payer for tests. Its payments look like EIP-3009 authorizations, and are worth nothing. */
export function toyPayer(options: ToyPayerOptions = {}): ToyPayer {
  const { networks = ['eip155:84532'], clock = systemClock } = options
  const authorized: Quote[] = []
  const outcomes = new Map<string, ChargeOutcome>()
  return {
    name: 'toy',
    address: ADDRESS,
    networks,
    authorized,
    outcomes,
    supports: ({ scheme, network }: Offer) => scheme === 'exact' && networks.includes(network),
    async authorize(quote, _charge, signal): Promise<Authorization> {
      // A payer signs only what passed the gate: the policy, and not the seller, decides (rule 6).
      if (!Quote.isVetted(quote)) throw new TypeError('toyPayer was given a quote that did not pass the gate')
      signal.throwIfAborted()
      authorized.push(quote)
      const nonce = `0x${randomBytes(32).toString('hex')}`
      const record = composeAuthorization(quote, ADDRESS, nonce, clock.now())
      const payload = { signature: SIGNATURE, authorization: toWire(quote, record) }
      const header = encodePayment(quote.offer, quote.resource, payload)
      return { kind: 'authorization', header, record }
    },
    closed(charge, outcome) {
      outcomes.set(charge, outcome)
      return Promise.resolve()
    },
    close: () => Promise.resolve(),
  }
}
