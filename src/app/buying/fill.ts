/**
 * Signs vouchers and stores them batch by batch. However a run ends, stored vouchers count and no others are kept. Memory
 * use does not depend on their number.
 */
import { TollwayError } from '../../core/errors.ts'
import { findNetwork } from '../../core/money/assets.ts'
import type { Presigned } from '../../core/payer/provider.ts'
import { refuseOwnWallet } from '../../core/policy/forbidden-payee.ts'
import type { Quote } from '../../core/policy/gate.ts'
import {
  voucherId,
  type AddRefusal,
  type SignedVoucher,
  type VoucherPool,
} from '../../core/vouchers/voucher.ts'
import type { VoucherBook } from '../../io/vouchers/voucher-book.ts'
import type { Terms } from './terms.ts'

/** Vouchers signed and stored at once: one message to the signer, one commit. */
const BATCH = 100

/** The store's reasons for refusing vouchers that were just signed for the pool's own terms. */
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
  'too_long',
]

/** The result of a fill. */
export interface Filled {
  readonly added: number
  /** Why fewer were signed than requested: `limit` if a limit stopped it before signing, else the store's reason. */
  readonly stopped: AddRefusal | 'limit' | undefined
}

/** Arguments of {@link fill}. */
export interface FillOptions {
  readonly book: VoucherBook
  readonly pool: VoucherPool
  readonly terms: Terms
  readonly count: number
  /** Whether the vouchers belong to the purchase's order. */
  readonly ordered: boolean
  readonly signal: AbortSignal
  /** Called with the number stored so far. */
  readonly onProgress?: ((done: number) => void) | undefined
}

/**
 * Fills a pool.
 * @throws TollwayError `signer_unavailable`, `store_unavailable`; vouchers stored before remain
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

/** A voucher of a pool from a signature, with the fields of x402-buyer's files. */
function voucherFor({ record, payload }: Presigned, quote: Quote, pool: VoucherPool): SignedVoucher {
  const { payer, name, seller, network, asset, payTo, amount, method } = pool
  refuseOwnWallet(record, quote)
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
    // buy.py writes Permit2's nonce as a number.
    key: method === 'permit2' ? BigInt(nonce).toString() : nonce,
    microUsd: quote.microUsd,
  }
  const payment = { x402Version: 2, accepted: acceptedOf(quote), payload }
  return { id: voucherId(own), ...own, payment: JSON.stringify(payment) }
}

/** The accepted offer in x402 v2 form, for any version that the seller uses. */
function acceptedOf({ offer, asset, amount, payTo, method }: Quote): Readonly<Record<string, unknown>> {
  const { name, version } = offer.extra as { readonly name?: unknown; readonly version?: unknown }
  return {
    scheme: 'exact',
    network: findNetwork(asset.network)?.id ?? asset.network,
    amount: amount.toString(),
    // Keep the seller's upper and lower case: some sellers compare exactly.
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
    advice: ['Choose a payer of kind direct with --payer.'],
  })
}
