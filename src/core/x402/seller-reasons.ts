/** What the reasons that sellers and facilitators give mean for the person who pays. Our own words, never a seller's. */
import type { SellerError } from './seller-error.ts'

/** The payment that a reason is about. */
export interface PaymentFacts {
  /** The paying address. */
  readonly from: string
  /** Amount and symbol, such as `0.001 USDC`. */
  readonly price: string
  /** The name of the network, such as `base`. */
  readonly network: string
  /** What the address holds now, such as `0 USDC`, where that is known. */
  readonly holds?: string | undefined
  /** Whether that is enough. */
  readonly suffices?: boolean | undefined
  /** How our clock differs from the seller's, where it does. */
  readonly clock?: string | undefined
}

/** Codes about the request itself, which agents act upon: they keep their name for the client. */
const REQUEST_CODES: readonly (readonly [RegExp, string])[] = [
  [
    /^(?:\w*_)?(?:context|prompt|input|message|string)(?:_\w+)?_(?:exceeded|exceeds|too_(?:long|large)|above_max(?:_length)?|overflow)(?:_\w+)?$|^exceed_context_size_error$|^string_above_max_length$|^too_many_(?:input_)?tokens$|^(?:max_|input_)?tokens_limit_reached$|^input_tokens_exceeded$/,
    "The prompt is too long for the model's maximum context length: shorten it.",
  ],
  [
    /^content_(?:filter|policy_violation)$/,
    'The content filter of the model refused the request: change it.',
  ],
]

/** Names with the same endings that are about anything else. */
const NO_REQUEST_CODE = /rate|quota|per_(?:minute|day|hour)|balance|budget|payment/

const TOO_POOR =
  /insufficient[_ ](?:\w+[_ ])?(?:funds|balance)|exceeds balance|not enough (?:funds|balance|usdc)|sender_ata_(?:not_found|missing)|balance (?:is )?too low/

/** Whether a reason is that the paying wallet holds too little. */
export function isAboutFunds(error: SellerError): boolean {
  return TOO_POOR.test(textOf(error))
}

/** Whether a reason is that Permit2 may not take enough from the wallet. */
export function isAboutAllowance(error: SellerError): boolean {
  return /permit2_(?:\w+_)?(?:allowance|approval)|allowance_required|insufficient[_ ]allowance/.test(
    textOf(error),
  )
}

function textOf({ code, message }: SellerError): string {
  return `${code ?? ''} ${message ?? ''}`.toLowerCase()
}

function fundsAdvice({ from, price, network, holds, suffices }: PaymentFacts): string {
  if (suffices === true)
    return `The paying wallet ${from} holds ${holds ?? ''} on ${network}, which is enough for ${price}: the seller's facilitator reads another state of the chain. Report it to the seller.`
  const held = holds === undefined ? `less than ${price}` : holds
  const said = holds === undefined ? ', says the seller' : `, and ${price} are needed`
  return `The paying wallet ${from} holds ${held} on ${network}${said}. Send it ${price.split(' ')[1] ?? 'the token'} on ${network}; \`tollway balance\` shows what it has.`
}

const REPORT = 'Report it to the seller.'

/** Advice by reason; the first that fits is given. */
const ADVICE: readonly (readonly [RegExp, (facts: PaymentFacts) => string])[] = [
  [TOO_POOR, fundsAdvice],
  [
    /nonce_(?:already_used|reused|used)|nonce (?:was )?already used|authorization is used|already been (?:used|processed)|duplicate_settlement|replay/,
    () => 'The seller saw this payment before. `tollway reconcile` finds out whether it was taken.',
  ],
  [
    /expired|valid_?before|deadline|valid_?after|not_yet_(?:valid|active)|not yet valid|block_?height_exceeded|blockhash_?not_?found|blockhash not found/,
    ({ clock }) =>
      clock === undefined
        ? "The payment was outside its time of validity. Check this machine's clock, and raise policy.max_validity_seconds if the seller is slow."
        : `The payment was outside its time of validity: ${clock}. Set the clock (timedatectl set-ntp true).`,
  ],
  [
    /token_name_mismatch|token_version_mismatch|eip712_domain|domain separator/,
    () => "Correct the domain (name and version) of the token under assets: it must be the contract's own.",
  ],
  [
    /undeployed_smart_wallet|signature/,
    ({ from }) =>
      `The seller cannot verify the signature of ${from}. A contract wallet or one with delegated code (EIP-7702) cannot pay everywhere: pay from a plain wallet.`,
  ],
  [
    /blacklist|blocklist|frozen|paused/,
    ({ network }) => `The token's contract on ${network} refuses transfers of this wallet, or all of them.`,
  ],
  [
    /address_kyt|sanction|compliance|risk_score/,
    ({ from }) =>
      `The seller's facilitator screens addresses and does not serve ${from}, or the seller's own: pay from another wallet, or choose another seller.`,
  ],
  [
    /no facilitator registered|(?:unsupported|invalid)[_ ](?:network|scheme|chain)|network_mismatch|_scheme\b|facilitator does not support/,
    ({ network }) => `The seller's facilitator does not settle on ${network}. ${REPORT}`,
  ],
  [
    /(?:recipient|value|amount|requirements?|spender|token|mint|asset|receiver|memo|fee_payer)_(?:mismatch|too_low)|no matching payment requirements|invalid_payment_requirements|authorization_value|payload_amount|permit2_(?:invalid_)?spender/,
    () => `The seller compares the payment with other terms than it offered. ${REPORT}`,
  ],
  [
    /invalid_x402_version|invalid_payload|payload_type|failed_to_parse|could_not_be_decoded|malformed payment|invalid payment header|extension_(?:echo_mismatch|format)/,
    () =>
      `The seller cannot read the payment. It may want the other header (payers.*.header or header of the route: both). ${REPORT}`,
  ],
  [
    /simulation_failed|transaction_failed|transaction_state|failed_onchain|execution reverted|transfer_event_mismatch|exact_evm_eip3009_not_supported/,
    ({ from, price, network }) =>
      `The transfer failed on the chain: check that ${from} still holds ${price} on ${network} (\`tollway balance\`) and that nothing else spends from it. \`tollway reconcile\` finds out whether it was taken.`,
  ],
  [
    /exact_svm_|upto_svm_/,
    ({ network }) => `The seller's facilitator takes no transaction of this form on ${network}. ${REPORT}`,
  ],
  [
    /unexpected_(?:verify|settle)_error|unknown_settlement_error|settlement_failed|settle_failed|facilitator|node_failure|rpc_read_failed|settlement[_ ]timed[_ ]?out|confirmation_timed_out|verification_failed/,
    () =>
      `The seller's facilitator could not settle: that is the seller's to mend. \`tollway reconcile\` finds out whether the payment was taken.`,
  ],
]

/** What to do about a reason, one sentence or two each; empty where only the seller can tell. */
export function adviceFor(error: SellerError, facts: PaymentFacts): readonly string[] {
  const request = error.code === undefined ? undefined : requestAdvice(error.code)
  if (request !== undefined) return [request]
  const text = textOf(error)
  const found = ADVICE.find(([pattern]) => pattern.test(text))
  return found ? [found[1](facts)] : []
}

/** Whether the error carries this code of the seller as its own, since agents act upon it (they shorten the prompt). */
export function isRequestCode(code: string): boolean {
  return requestAdvice(code) !== undefined
}

/** In any spelling: `ContextWindowExceededError` and `context-length-exceeded` too. */
function requestAdvice(code: string): string | undefined {
  const name = code
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replaceAll(/[-.]/g, '_')
    .toLowerCase()
  return NO_REQUEST_CODE.test(name) ? undefined : REQUEST_CODES.find(([pattern]) => pattern.test(name))?.[1]
}
