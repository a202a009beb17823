/** Holds a seller's receipt against what was signed: a receipt is believed about being paid, and checked about the rest. */
import { findNetwork } from '../money/assets.ts'
import type { Charge } from './charge.ts'
import { parseAtomic } from '../money/money.ts'
import type { Receipt } from '../x402/x402.ts'

/**
 * The fields of a receipt that say something else than was signed; fields it does not have are no lie.
 * @returns words in our own spelling, such as `amount, payer`, or `undefined` when nothing differs
 */
export function receiptMismatch(receipt: Receipt, charge: Charge): string | undefined {
  const { payer, network, amount } = receipt
  const differing = [
    amountDiffers(amount, charge) ? 'amount' : undefined,
    payer !== undefined && payer !== '' && payer.toLowerCase() !== charge.authorization?.from
      ? 'payer'
      : undefined,
    network !== undefined && network !== '' && (findNetwork(network)?.id ?? network) !== charge.network
      ? 'network'
      : undefined,
  ].filter((name) => name !== undefined)
  return differing.length === 0
    ? undefined
    : `the receipt names another ${differing.join(', ')} than was signed`
}

/** Servers leave the amount of an `exact` payment out, or empty. Of `upto` any amount up to the signed one is as agreed. */
function amountDiffers(claimed: unknown, charge: Charge): boolean {
  if (claimed === undefined || claimed === null || claimed === '') return false
  const text = typeof claimed === 'number' ? String(claimed) : claimed
  if (charge.authorization?.scheme !== 'upto') return text !== charge.amount.toString()
  const amount = parseAtomic(text)
  return amount === undefined || amount > charge.amount
}
