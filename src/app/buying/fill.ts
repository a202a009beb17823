/**
 * Signs vouchers and puts them into the store, batch by batch: whatever ends it, what was stored counts and nothing else was
 * kept. Memory does not grow with their number.
 */
import { TollwayError } from '../../core/errors.ts'
import { findNetwork } from '../../core/money/assets.ts'
import type { Presigned } from '../../core/payer/provider.ts'
import type { Quote } from '../../core/policy/gate.ts'
import {
  voucherId,
  type AddRefusal,
  type SignedVoucher,
  type VoucherPool,
} from '../../core/vouchers/voucher.ts'
import type { VoucherBook } from '../../io/vouchers/voucher-book.ts'
import type { Terms } from './terms.ts'

/** How many are signed and stored at once: one message to the signer, one commit. */
const BATCH = 100

/** What a store may say about vouchers that were just signed for the pool's own terms. */
const REFUSALS: readonly AddRefusal[] = [
  'total',
  'per_day',
  'order',
  'budget',
  'count',
  'exposure',
  'unpriced',
  'draining',
  'other_terms',
  'expired',
]

/** What a fill came to. */
export interface Filled {
  readonly added: number
  /** Why there are not as many as were wanted: `limit` before anything more was signed, else what the store refused. */
  readonly stopped: AddRefusal | 'limit' | undefined
}

/** How {@link fill} works. */
export interface FillOptions {
  readonly book: VoucherBook
  readonly pool: VoucherPool
  readonly terms: Terms
  readonly count: number
  /** Whether they belong to the purchase's order. */
  readonly ordered: boolean
  readonly signal: AbortSignal
  /** Told how many are stored so far. */
  readonly onProgress?: ((done: number) => void) | undefined
}

/**
 * Fills a pool.
 * @throws TollwayError `signer_unavailable`, `store_unavailable`; what was stored before stays
 */
export async function fill(options: FillOptions): Promise<Filled> {
  const { book, pool, terms, count, ordered, signal, onProgress = () => undefined } = options
  const { quote, signer } = terms
  if (!signer.presign) throw cannotSignAhead()
  let added = 0
  while (added < count) {
    signal.throwIfAborted()
    const size = await book.room(pool, Math.min(BATCH, count - added), quote.microUsd, true, ordered)
    if (size === 0) return { added, stopped: 'limit' }
    const vouchers = (await signer.presign(quote, size, signal)).map((one) => voucherFor(one, quote, pool))
    const result = await book.add(pool, vouchers, true, ordered)
    added += result.added
    onProgress(added)
    const refused = REFUSALS.find((why) => result.refused[why] !== undefined)
    if (refused !== undefined) return { added, stopped: refused }
  }
  return { added, stopped: undefined }
}

/** A voucher of a pool from what was signed; what it carries is what x402-buyer's files carry. */
function voucherFor({ record, payload }: Presigned, quote: Quote, pool: VoucherPool): SignedVoucher {
  const { payer, name, seller, network, asset, payTo, amount, method } = pool
  const { from, nonce, validAfter, validBefore } = record
  const own = {
    payer,
    pool: name,
    seller,
    network,
    asset,
    payTo,
    amount,
    method,
    from,
    nonce,
    validAfter,
    validBefore,
    // As buy.py names them: Permit2's nonce is a number.
    key: method === 'permit2' ? BigInt(nonce).toString() : nonce,
    microUsd: quote.microUsd,
  }
  const payment = { x402Version: 2, accepted: acceptedOf(quote), payload }
  return { id: voucherId(own), ...own, payment: JSON.stringify(payment) }
}

/** What the voucher accepts, as x402 v2 has it, whatever version the seller spoke. */
function acceptedOf({ offer, asset, amount, payTo, method }: Quote): Readonly<Record<string, unknown>> {
  const { name, version } = offer.extra as { readonly name?: unknown; readonly version?: unknown }
  return {
    scheme: 'exact',
    network: findNetwork(asset.network)?.id ?? asset.network,
    amount: amount.toString(),
    // In the seller's own letters: some sellers compare them exactly.
    asset: offer.asset,
    payTo: offer.payTo.toLowerCase() === payTo ? offer.payTo : payTo,
    maxTimeoutSeconds: typeof offer.maxTimeoutSeconds === 'number' ? offer.maxTimeoutSeconds : 60,
    extra: {
      ...(typeof name === 'string' ? { name } : {}),
      ...(typeof version === 'string' ? { version } : {}),
      assetTransferMethod: method,
    },
  }
}

function cannotSignAhead(): TollwayError {
  return new TollwayError({
    code: 'no_supported_offer',
    message: 'This payer signs one request at a time and cannot sign vouchers in advance.',
    advice: ['Name a payer of kind direct with --payer.'],
  })
}
