/** The receipt of a paid answer: found, compared with what was signed, and set aside when another payment has it already. */
import type { Charge } from '../../core/charge/charge.ts'
import type { ChainFinding } from '../../core/charge/reconcile.ts'
import { receiptMismatch } from '../../core/charge/receipt-check.ts'
import { TollwayError } from '../../core/errors.ts'
import type { Exchange } from '../../core/request/exchange.ts'
import type { Receipt } from '../../core/x402/receipt.ts'
import type { Ledger } from '../../io/ledger/ledger.ts'

/** A receipt as far as it may be believed. */
export interface CheckedReceipt {
  /** `undefined` where there is none that is about this payment. */
  readonly receipt: Receipt | undefined
  /** What a person should look at. */
  readonly findings: readonly ChainFinding[]
}

/**
 * A receipt is believed about being paid, unless its transaction is another payment's. What else it says and was not signed is
 * for people to look at.
 */
export async function checkedReceipt(
  ledger: Pick<Ledger, 'receipts'>,
  charge: Charge,
  receipt: Receipt | undefined,
): Promise<CheckedReceipt> {
  if (!receipt) return { receipt, findings: [] }
  const { transaction } = receipt
  const other = transaction && (await ledger.receipts.usedBy(charge, transaction))
  if (other !== undefined) {
    const detail = `the receipt names transaction ${transaction}, which is the receipt of ${other}`
    return { receipt: undefined, findings: [{ flag: 'receipt_reused', detail }] }
  }
  const detail = receipt.success ? receiptMismatch(receipt, charge) : undefined
  return { receipt, findings: detail === undefined ? [] : [{ flag: 'receipt_mismatch', detail }] }
}

/** Flags a booked charge. Never rejects: an answer must not be lost over a mark on its payment. */
export async function flagFindings(
  ledger: Pick<Ledger, 'flag'>,
  charge: Charge,
  { details }: Exchange['record'],
  findings: readonly ChainFinding[],
): Promise<void> {
  for (const finding of findings) {
    details[finding.flag] = finding.detail
    await ledger.flag(charge, finding).catch((error: unknown) => {
      details['flag_error'] = error instanceof TollwayError ? error.code : 'unknown'
    })
  }
}
