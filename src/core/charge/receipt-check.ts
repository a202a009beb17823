/** Compares a seller's receipt with what was signed: its `success` is believed, everything else is checked. */
import { canonicalAddress } from '../money/address.ts'
import { findNetwork } from '../money/assets.ts'
import type { Charge } from './charge.ts'
import { parseAtomic } from '../money/money.ts'
import type { Receipt } from '../x402/receipt.ts'

/**
 * Which fields of a receipt contradict what was signed; missing fields do not.
 * @returns a sentence that names the fields, without the receipt's own text; `undefined` when nothing differs
 */
export function receiptMismatch(receipt: Receipt, charge: Charge): string | undefined {
  const { payer, network, amount } = receipt
  const differing = [
    amountDiffers(amount, charge) ? 'amount' : undefined,
    payer !== undefined &&
    payer !== '' &&
    canonicalAddress(charge.network, payer) !== charge.authorization?.from
      ? 'payer'
      : undefined,
    network !== undefined && network !== '' && (findNetwork(network)?.id ?? network) !== charge.network
      ? 'network'
      : undefined,
  ].filter((name) => name !== undefined)
  return differing.length === 0
    ? undefined
    : `the receipt differs from what was signed in: ${differing.join(', ')}`
}

/** Servers omit the amount of an `exact` payment or leave it empty. For `upto` any amount up to the signed one matches. */
function amountDiffers(claimed: unknown, charge: Charge): boolean {
  if (claimed === undefined || claimed === null || claimed === '') return false
  const text = typeof claimed === 'number' ? String(claimed) : claimed
  if (charge.authorization?.scheme !== 'upto') return text !== charge.amount.toString()
  const amount = parseAtomic(text)
  return amount === undefined || amount > charge.amount
}
