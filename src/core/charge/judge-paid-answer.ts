/** What the response to a paid request means for its charge and its client (docs/architecture.md). Pure, so that every case is tested. */
import type { ErrorCode } from '../errors.ts'
import type { Receipt } from '../x402/receipt.ts'

/** The statuses of a seller's own refusal that keep their number for the client. */
const KEPT_STATUSES: ReadonlySet<number> = new Set([400, 404, 413])

const PENDING = 'The payment may still be taken and counts as spent until the chain proves otherwise.'

/** The reason of an uncertain charge whose seller asked for other terms: a repeat of its request asks for the price again. */
export const TERMS_CHANGED = 'terms_changed'

/**
 * The error for a 402 that asks for terms other than those signed.
 * @param changed which terms, from what to what
 */
function termsChanged(changed: string): VerdictError {
  return {
    code: TERMS_CHANGED,
    message: `The seller answered the payment with other terms (${changed}), which were not paid. ${PENDING}`,
    advice: [
      'The request may be sent again: it asks for the price again, and makes a new payment on the new terms if policy and budgets allow it.',
    ],
  }
}

/** What to record, and what to send to the client. */
export type PaidAnswerVerdict =
  /** Spent, and the response is relayed. */
  | { readonly state: 'settled'; readonly proof: 'receipt' | 'assumed'; readonly error?: undefined }
  /** Spent, and there is nothing to relay. */
  | { readonly state: 'settled'; readonly proof: 'receipt'; readonly error: VerdictError }
  /** Unknown; it counts as spent. */
  | { readonly state: 'uncertain'; readonly reason: string; readonly error: VerdictError }

/** The error for the client. */
export interface VerdictError {
  readonly code: Extract<
    ErrorCode,
    'payment_rejected' | 'payment_uncertain' | 'terms_changed' | 'paid_not_delivered' | 'seller_error'
  >
  readonly message: string
  /** What to do, one sentence each. */
  readonly advice?: readonly string[] | undefined
  readonly status?: number | undefined
}

/** What official facilitators answer when they stop waiting for a transaction that they have sent. */
const SETTLEMENT_PENDING = 'settlement_pending'

function isPending(receipt: Receipt | undefined): boolean {
  return (
    receipt?.success === false && /^(?:settlement|transaction)[_ -]?pending$/i.test(receipt.errorReason ?? '')
  )
}

/** A failure that names a transaction: what was sent to the chain may still be mined, whatever the words are. */
export function claimedTransaction(receipt: Receipt | undefined): string | undefined {
  return receipt?.success === false ? receipt.transaction : undefined
}

/**
 * The transaction that a receipt names as the one that takes the payment, or may take it: where the chain is looked at first.
 * Proven only there.
 */
export function namedTransaction(receipt: Receipt | undefined): string | undefined {
  return receipt?.success === true || isPending(receipt) ? receipt?.transaction : undefined
}

/**
 * Judges the headers of the response to a request that carried a payment. Only a receipt with `success: true` proves
 * that it was spent; nothing here ever proves that it was not (rule 4).
 * @param changed what a 402 asks for instead of what was signed; `undefined` for the same terms, or none
 */
export function judgePaidAnswer(
  status: number,
  receipt: Receipt | undefined,
  changed?: string,
): PaidAnswerVerdict {
  const paid = receipt?.success === true
  if (status >= 200 && status < 300) return { state: 'settled', proof: paid ? 'receipt' : 'assumed' }
  if (paid) {
    const message = `The seller took the payment and answered with status ${status} instead of a result. Do not resend: it would be paid again.`
    return { state: 'settled', proof: 'receipt', error: { code: 'paid_not_delivered', message } }
  }
  if (isPending(receipt)) {
    const where = receipt?.transaction === undefined ? '' : ` as transaction ${receipt.transaction}`
    const message = `Settlement is pending: the seller's facilitator sent the payment to the chain${where} and has not seen it confirmed yet (status ${status}). ${PENDING}`
    return { state: 'uncertain', reason: SETTLEMENT_PENDING, error: { code: 'payment_uncertain', message } }
  }
  const transaction = claimedTransaction(receipt)
  const reason = transaction === undefined ? `http_${status}` : SETTLEMENT_PENDING
  const pending =
    transaction === undefined
      ? PENDING
      : `Its settlement is pending: the receipt names transaction ${transaction}. ${PENDING}`
  if (status === 412) {
    const message = `The seller says that Permit2 may not take the payment from the wallet (status 412). ${pending}`
    return { state: 'uncertain', reason, error: { code: 'payment_rejected', message } }
  }
  if (changed !== undefined && transaction === undefined) {
    return { state: 'uncertain', reason: TERMS_CHANGED, error: termsChanged(changed) }
  }
  if (status === 402) {
    const message = `The seller says it refused the payment (status ${status}). ${pending}`
    return { state: 'uncertain', reason, error: { code: 'payment_rejected', message } }
  }
  const message = `The seller answered the paid request with status ${status}. ${pending}`
  const kept = KEPT_STATUSES.has(status) ? { status } : {}
  return { state: 'uncertain', reason, error: { code: 'seller_error', message, ...kept } }
}
