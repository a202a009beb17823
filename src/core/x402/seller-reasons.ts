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
const REQUEST_CODES: ReadonlyMap<string, string> = new Map([
  ...[
    'context_length_exceeded',
    'context_window_exceeded',
    'model_context_window_exceeded',
    'model_max_prompt_tokens_exceeded',
    'prompt_too_long',
    'string_above_max_length',
  ].map(
    (code) => [code, "The prompt is too long for the model's maximum context length: shorten it."] as const,
  ),
  ...['content_filter', 'content_policy_violation'].map(
    (code) => [code, 'The content filter of the model refused the request: change it.'] as const,
  ),
])

const TOO_POOR = /insufficient[_ ](?:funds|balance)|exceeds balance|not enough (?:funds|balance)/

/** Whether a reason is that the paying wallet holds too little. */
export function isAboutFunds(error: SellerError): boolean {
  return TOO_POOR.test(textOf(error))
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

/** Advice by reason; the first that fits is given. */
const ADVICE: readonly (readonly [RegExp, (facts: PaymentFacts) => string])[] = [
  [TOO_POOR, fundsAdvice],
  [
    /nonce_already_used|authorization is used|already been used/,
    () => 'The seller saw this payment before. `tollway reconcile` finds out whether it was taken.',
  ],
  [
    /expired|valid_before|deadline|valid_after|not_yet_valid|not yet valid/,
    ({ clock }) =>
      clock === undefined
        ? "The payment was outside its time of validity. Check this machine's clock, and raise policy.max_validity_seconds if the seller is slow."
        : `The payment was outside its time of validity: ${clock}. Set the clock (timedatectl set-ntp true).`,
  ],
  [
    /token_name_mismatch|token_version_mismatch|domain/,
    () => "Correct the domain (name and version) of the token under assets: it must be the contract's own.",
  ],
  [
    /signature/,
    ({ from }) =>
      `The seller cannot verify the signature of ${from}. A contract wallet or one with delegated code (EIP-7702) cannot pay everywhere: pay from a plain wallet.`,
  ],
  [
    /blacklist|blocklist|frozen|paused/,
    ({ network }) => `The token's contract on ${network} refuses transfers of this wallet, or all of them.`,
  ],
  [
    /no facilitator registered|(?:unsupported|invalid)[_ ](?:network|scheme)/,
    ({ network }) => `The seller's facilitator does not settle on ${network}. Report it to the seller.`,
  ],
  [
    /(?:recipient|value|amount|requirements?)_mismatch|no matching payment requirements/,
    () => 'The seller compares the payment with other terms than it offered. Report it to the seller.',
  ],
]

/** What to do about a reason, one sentence or two each; empty where only the seller can tell. */
export function adviceFor(error: SellerError, facts: PaymentFacts): readonly string[] {
  const request = error.code === undefined ? undefined : REQUEST_CODES.get(error.code)
  if (request !== undefined) return [request]
  const text = textOf(error)
  const found = ADVICE.find(([pattern]) => pattern.test(text))
  return found ? [found[1](facts)] : []
}

/** Whether the error carries this code of the seller as its own, since agents act upon it (they shorten the prompt). */
export function isRequestCode(code: string): boolean {
  return REQUEST_CODES.has(code)
}
