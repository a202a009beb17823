/** Vouchers and pools to try a store with; they match the charges of samples.ts. */
import {
  voucherId,
  type SignedVoucher,
  type VoucherLimits,
  type VoucherPool,
} from '../../core/vouchers/voucher.ts'
import { NOW, terms } from './samples.ts'

const { network, asset, payTo, amount, payer, symbol, decimals } = terms(1)

export const LIMITS: VoucherLimits = { maxCount: 100, maxMicroUsd: 10_000_000n, maxAgeMs: 30 * 86_400_000 }

export function pool(changes: Partial<VoucherPool> = {}): VoucherPool {
  return {
    payer,
    name: 'qwen',
    seller: 'https://seller.example.com',
    network,
    asset,
    payTo,
    amount,
    method: 'eip3009',
    remoteModel: 'qwen3.5:9b',
    symbol,
    decimals,
    refill: undefined,
    drainingSince: undefined,
    ...changes,
  }
}

/** The nth voucher; later ones end later. */
export function voucher(n: number, changes: Partial<SignedVoucher> = {}): SignedVoucher {
  const nonce = `0x${n.toString(16).padStart(64, '0')}`
  const own = {
    payer,
    pool: 'qwen',
    seller: 'https://seller.example.com',
    network,
    asset,
    payTo,
    amount,
    method: 'eip3009' as const,
    from: '0x00000000000000000000000000000000000000bb',
    nonce,
    validAfter: 0,
    validBefore: Math.floor(NOW / 1000) + 3600 + n,
    key: nonce,
    microUsd: 23_000n,
    payment: JSON.stringify({ x402Version: 2, payload: { signature: `0xsecret${n}` } }),
    ...changes,
  }
  return { id: voucherId(own), ...own }
}
