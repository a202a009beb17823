/** Pays by itself: EIP-3009 authorizations (x402 `exact` on EVM, v1 and v2) signed with a key of ours. */
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { findNetwork, networkNames } from '../src/core/assets.ts'
import { composeAuthorization, toTyped, toWire } from '../src/core/authorization.ts'
import { systemClock, type Clock } from '../src/core/clock.ts'
import { TollwayError } from '../src/core/errors.ts'
import type { RandomBytes } from '../src/core/ids.ts'
import type { KeyReference } from '../src/core/key-reference.ts'
import type { Authorization, Provider } from '../src/core/provider.ts'
import { Quote } from '../src/core/requirement.ts'
import { encodePayment, type Offer } from '../src/core/x402.ts'
import { startSigner } from '../src/io/signer.ts'
import { parseProviderOptions } from './options.ts'

/** Options of {@link direct}. */
export interface DirectOptions {
  /** Where the private key is. One environment variable serves one payer: it is removed when the payer starts. */
  readonly key: KeyReference
  /** Networks it may pay on: aliases such as `base-sepolia`, or CAIP-2 ids. */
  readonly networks: readonly string[]
  /** Longest wait for a signature, milliseconds; default 10,000. */
  readonly timeoutMs?: number | undefined
  /** Where nonces come from; default the system's cryptographic source. */
  readonly random?: RandomBytes | undefined
  readonly clock?: Clock | undefined
}

const KEY_HELP =
  "name where the key is: { source: 'env', name } or { source: 'file', path }; never the key itself"

const KEY = z.discriminatedUnion(
  'source',
  [
    z.strictObject({
      source: z.literal('env'),
      name: z
        .string(KEY_HELP)
        .regex(
          /^[A-Za-z_][A-Za-z0-9_]*$/,
          'give the name of an environment variable, e.g. TOLLWAY_WALLET_KEY',
        ),
    }),
    z.strictObject({
      source: z.literal('file'),
      path: z.string(KEY_HELP).min(1, 'give the path of the key file'),
    }),
  ],
  KEY_HELP,
)

const NETWORK = z.string().transform((name, context) => {
  const network = findNetwork(name)
  if (network) return network.id
  context.addIssue({
    code: 'custom',
    message: `"${name.slice(0, 64)}" is not a network that is known; use one of ${networkNames().join(', ')}`,
  })
  return z.NEVER
})

const SCHEMA = z.strictObject({
  key: KEY,
  networks: z
    .array(NETWORK, 'list the networks it may pay on, e.g. ["base-sepolia"]')
    .min(1, 'list at least one network it may pay on, e.g. ["base-sepolia"]')
    .transform((ids) => [...new Set(ids)]),
  timeoutMs: z.int('give whole milliseconds').min(1, 'give at least 1 millisecond').default(10_000),
  random: z
    .custom<RandomBytes>((value) => typeof value === 'function', 'give a function (count) => bytes')
    .default(() => randomBytes),
  clock: z
    .custom<Clock>((value) => typeof value === 'object' && value !== null && 'now' in value, 'give { now() }')
    .default(systemClock),
})

const NONCE_BYTES = 32

/**
 * Starts a payer with its own signer thread.
 * @throws ConfigError for a mistake in the options, or a key that is missing, badly kept or malformed
 * @throws TollwayError `signer_unavailable` when the signer does not start
 */
export async function direct(options: DirectOptions): Promise<Provider> {
  const { key, networks, timeoutMs, random, clock } = parseProviderOptions('direct', SCHEMA, options)
  const signer = await startSigner({ key, timeoutMs })
  return {
    name: 'direct',
    address: signer.address,
    networks,
    supports: isEip3009Offer,
    async authorize(quote, _charge, signal): Promise<Authorization> {
      if (!Quote.isVetted(quote)) {
        throw new TypeError(
          'direct pays only quotes that passed the gate: pass what vetChallenge() returned.',
        )
      }
      signal.throwIfAborted()
      const record = composeAuthorization(quote, signer.address, newNonce(random), clock.now())
      const typed = networks.includes(quote.asset.network) ? toTyped(quote, record) : undefined
      if (!typed || !isEip3009Offer(quote.offer)) throw unpayable(quote)
      const signature = await signer.sign(typed, signal)
      const payload = { signature, authorization: toWire(quote, record) }
      return {
        kind: 'authorization',
        header: encodePayment(quote.offer, quote.resource, payload),
        record,
      }
    },
    // Every payment has a fresh nonce and nothing is kept for it.
    closed: () => Promise.resolve(),
    close: () => signer.close(),
  }
}

/** `exact` on an EVM network by EIP-3009. Permit2 and escrow are other messages, and unknown flows are not guessed at. */
function isEip3009Offer(offer: Offer): boolean {
  const { assetTransferMethod: method, paymentFlow: flow } = offer.extra as {
    readonly assetTransferMethod?: unknown
    readonly paymentFlow?: unknown
  }
  return (
    offer.scheme === 'exact' &&
    offer.network.startsWith('eip155:') &&
    (method === undefined || method === 'eip3009') &&
    (flow === undefined || flow === 'authorization' || flow === 'upfront')
  )
}

function newNonce(random: RandomBytes): string {
  const bytes = random(NONCE_BYTES)
  if (bytes.length !== NONCE_BYTES) {
    throw new TypeError(`random(${NONCE_BYTES}) gave ${bytes.length} bytes.`)
  }
  return `0x${Buffer.from(bytes).toString('hex')}`
}

function unpayable(quote: Quote): TollwayError {
  return new TollwayError({
    code: 'no_supported_offer',
    message: `This payer cannot pay ${quote.asset.symbol} on ${quote.asset.network}: it pays EIP-3009 tokens whose domain is in the asset table, on its own networks.`,
    advice: ["Add the network to the payer's networks, or the token's domain to the asset table."],
  })
}
