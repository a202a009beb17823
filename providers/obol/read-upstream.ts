/** Reads one upstream from its files: its pool and the vouchers that can pay. */
import type { Asset } from '../../src/core/money/assets.ts'
import type { SignedVoucher, VoucherPool } from '../../src/core/vouchers/voucher.ts'
import type { UpstreamDocument } from '../../src/io/external-payers/obol/documents.ts'
import type { ObolFiles } from '../../src/io/external-payers/obol/files.ts'
import { consumeKey, methodOf, poolOfUpstream, voucherOf } from './pool-vouchers.ts'
import type { VoucherCheck } from './voucher-check.ts'

/** Input of {@link readUpstream}. */
export interface UpstreamReading {
  readonly payer: string
  readonly name: string
  readonly document: UpstreamDocument
  readonly files: Pick<ObolFiles, 'auths'>
  /** Consume keys of authorizations that were used before. */
  readonly used: ReadonlySet<string>
  readonly assets: readonly Asset[]
  readonly check: VoucherCheck
}

/** An upstream that can be served. */
export interface ReadUpstream {
  readonly pool: VoucherPool
  /** Whole, unused, and signed by the payer that they name; not all may fit the pool. */
  readonly vouchers: readonly SignedVoucher[]
  /** The number of other vouchers by what is wrong with them, without those already reported as forged. */
  readonly refused: ReadonlyMap<string, number>
}

/** @returns a sentence when it cannot be served */
export async function readUpstream(reading: UpstreamReading): Promise<ReadUpstream | string> {
  const { payer, name, document, files, used, assets, check } = reading
  const auths = files.auths.get(name) ?? []
  const pool = poolOfUpstream(payer, name, document, methodOf(auths, document), assets)
  if (typeof pool === 'string') return pool
  const refused = new Map<string, number>()
  const read: SignedVoucher[] = []
  for (const auth of auths) {
    const voucher = used.has(consumeKey(auth)) ? 'used' : voucherOf(auth, pool, assets)
    if (typeof voucher !== 'string') read.push(voucher)
    else if (voucher !== 'used') refused.set(voucher, (refused.get(voucher) ?? 0) + 1)
  }
  const { sound, newlyForged } = await check.look(name, read)
  if (newlyForged > 0) refused.set('forged', newlyForged)
  return { pool, vouchers: sound, refused }
}

/** The refusals as sentences. */
export function describeRefusals(refused: ReadonlyMap<string, number>): string[] {
  return [...refused].map(([why, count]) => `${count} voucher(s) not loaded: ${REFUSALS[why] ?? why}`)
}

const REFUSALS: Readonly<Record<string, string>> = {
  unreadable: 'a field is missing or malformed',
  other_network: 'signed for another network',
  other_spender: "signed for another spender than x402's Permit2 proxy",
  other_terms: 'signed for another price, payee or asset than the configuration says',
  forged: 'not signed by the payer that it names',
  expired: 'expired, or about to',
  too_long: 'valid for longer than max_validity_seconds allows',
  count: 'over the limit on the number of unused vouchers',
  exposure: 'over the limit on the value of unused vouchers',
  unpriced: 'the asset has no USD value, and the limit is in USD',
  draining: 'the pool is being used up',
}
