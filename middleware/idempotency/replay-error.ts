/** Errors for a repeat when the answer of the original request is no longer available. */
import { TERMS_CHANGED } from '../../src/core/charge/judge-paid-answer.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import { TollwayError, type ErrorCode } from '../../src/core/errors.ts'
import { printable } from '../../src/core/printable.ts'

const AGAIN = 'To pay for it again, send it with a new Idempotency-Key.'

/** Statuses of the seller that were passed on, as recorded in `charge.reason`. */
const KEPT = /^http_(400|404|413)$/

/**
 * The error for a request whose payment was already sent.
 * @param charge the payment; never held or released
 */
export function responseGone(charge: Charge): TollwayError {
  if (charge.state === 'settled') {
    return again(
      'paid_not_delivered',
      'This request was paid for before, and its answer is not kept any more.',
    )
  }
  const pending = 'It counts as spent until the chain proves otherwise.'
  const status = KEPT.exec(charge.reason ?? '')?.[1]
  if (charge.reason === 'http_402' || charge.reason === 'http_412') {
    return again(
      'payment_rejected',
      `This request was paid for before, and the seller says it refused the payment. ${pending}`,
    )
  }
  if (charge.reason === TERMS_CHANGED) {
    return again(
      'terms_changed',
      `This request was paid for before, and the seller answered the payment with other terms. ${pending}`,
    )
  }
  if (charge.reason?.startsWith('http_') === true) {
    const message = `This request was paid for before, and the seller answered with status ${charge.reason.slice(5)}. ${pending}`
    return again('seller_error', message, status === undefined ? undefined : Number(status))
  }
  return again(
    'payment_uncertain',
    `The payment of this request was sent before, and no answer came back. ${pending}`,
  )
}

/**
 * The error for a request that was already sent to another model, paid, and failed.
 * @param error the error of that request
 * @param model the model it named
 */
export function failedForOtherModel(error: unknown, model: string | undefined): unknown {
  if (!(error instanceof TollwayError)) return error
  const { code, status, param, details, headers, message } = error
  const other = model === undefined ? 'another model' : `the model ${printable(model)}`
  return new TollwayError({
    code,
    status,
    details,
    headers,
    ...(param === null ? {} : { param }),
    message: `${message} That was the same request to ${other}; nothing was paid for this one.`,
    advice: [AGAIN],
  })
}

function again(code: ErrorCode, message: string, status?: number): TollwayError {
  return new TollwayError({
    code,
    message: `${message} It was not paid again.`,
    advice: [AGAIN],
    ...(status === undefined ? {} : { status }),
  })
}
