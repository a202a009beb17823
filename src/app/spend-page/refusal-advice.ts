/** How to lift a refusal or end a failure, for operators: one sentence for each code that a model request may end with. */
import type { ErrorCode } from '../../core/errors.ts'
import { visible } from '../../core/visible.ts'

const BY_CODE: Readonly<Partial<Record<ErrorCode, string>>> = {
  budget_exhausted: 'Wait for the end of the window, or raise the limit of this budget.',
  price_above_limit:
    'Raise policy.max_usd_per_request if the price is right, or ask for fewer tokens (reduce_max_tokens).',
  price_unstable:
    'Look at the price with `tollway probe`, then raise policy.max_price_change or pin it anew.',
  payee_not_allowed:
    'Verify the address with the seller, then accept it with `tollway sellers trust`, or set pay_to under policy.sellers.',
  asset_not_allowed: 'Add the token under assets if you mean to spend it.',
  network_not_allowed: 'Add the network to the networks of this payer.',
  host_not_allowed: 'Add a route to this seller; redirects and other hosts are never paid.',
  no_supported_offer: 'Run `tollway probe` to see what the seller offers, and add a payer that can pay it.',
  unpriced_asset: 'Give the token a usd value under assets.',
  pool_exhausted: 'Sign more vouchers with `tollway refill`.',
  pool_terms_changed: 'Sign vouchers for the new terms with `tollway buy`.',
  insufficient_funds: 'Top the paying wallet up; `tollway balance` shows its address.',
  approval_refused: 'Approve the next one while it waits, or raise policy.approve_above_usd.',
  hook_refused: 'The beforeSign hook of your application decides this.',
  hook_unavailable: 'Look at the beforeSign hook of your application: it failed or took too long.',
  endpoint_not_paid: 'Add the endpoint to paid_endpoints of the route.',
  wallet_not_plain: 'Pay from a plain wallet without code.',
  payment_uncertain: 'Set chains.<network>.rpc, so that `tollway reconcile` can prove what was taken.',
  payment_rejected: 'Run `tollway doctor`; the seller says why in the record of the charge.',
  terms_changed: 'Set terms: ask on this route if its seller changes its price often.',
  paid_not_delivered:
    'Show the charge to the seller: it took the payment. Look at its answers in the audit record.',
  seller_error: 'Look at the message of the seller in the audit record, and at its status page.',
  seller_unavailable:
    'Check that the seller can be reached (`tollway doctor`), or add another route for this model.',
  signer_unavailable: 'Look at the signer: its log, its address, its key.',
  store_unavailable:
    'Look at the disk and the file of the ledger: paid routes refuse until it can be written.',
  audit_unavailable: 'Free space for the audit file: paid routes refuse until it can be written.',
  model_not_found: 'Add a route for this model, or ask for one that GET /v1/models lists.',
  invalid_api_key: 'Give the client a key of callers, or add one with `tollway keys add`.',
  rate_limit_exceeded: 'Wait a minute, or raise the limits of this caller.',
  request_too_large: 'Raise body_limit if such requests are meant.',
  origin_not_allowed: 'Add the host to admin.hosts if this address is yours.',
}

/** @param code of a failed request; another text is a status of an upstream, such as `status_500` */
export function adviceFor(code: string): string {
  const found = Object.entries(BY_CODE).find(([name]) => name === code)?.[1]
  if (found !== undefined) return found
  return code.startsWith('status_')
    ? 'The upstream answered so itself: look at its log, its key and its limits.'
    : 'See the page of error codes (docs/errors.md).'
}

/** A line of the configuration, such as `networks: [base]`, or a command to type. */
const LINE = /\b[a-z_]+: *(?:[[{"]|0x|\d)|`tollway [a-z]|\bcast send /

/** Longest advice that is shown, characters. */
const MAX_ADVICE = 1_000

/** The error's own advice, where it names the very line to write or to type, as `tollway doctor` and `tollway check` do. */
export function lineToCopy(advice: readonly string[] | undefined): string | undefined {
  const lines = advice?.filter((sentence) => LINE.test(sentence)) ?? []
  return advice && lines.length > 0 ? visible(advice.join(' ')).slice(0, MAX_ADVICE) : undefined
}
