/** The token counts that an answer claims, as far as they are possible. */
import { membersOf, type Exchange, type Reply } from '../../src/core/request/exchange.ts'
import { allowedTokens } from '../../src/core/routing/max-tokens.ts'
import { namesContent, plausibleUsage } from '../../src/core/stream/plausible-usage.ts'
import type { Usage } from '../../src/core/stream/usage.ts'

/** The counts of one answer. */
export class ClaimedUsage {
  readonly #exchange: Exchange
  /** Scanned once: an answer may count its tokens in every event. */
  #allowed: number | undefined
  #namesContent: boolean | undefined

  constructor(exchange: Exchange) {
    this.#exchange = exchange
  }

  /** Keeps what is possible in `exchange.relay.usage`, and the claim in the record where it is more. */
  note(claimed: Usage, answerBytes: number, kind: Reply['kind']): void {
    const { request, payment, relay, record, routing } = this.#exchange
    const isKeyed = kind === 'unpaid' && routing.candidate?.route.payer === undefined
    const usage = plausibleUsage(claimed, {
      request: request.body,
      answerBytes,
      maxTokens: payment.reducedMaxTokens ?? this.#allowedTokens(),
      isKeyed,
      isUnseen: isKeyed && this.#isUnseen(request.body),
    })
    relay.usage = usage
    if (usage.inputTokens === claimed.inputTokens && usage.outputTokens === claimed.outputTokens) {
      delete record.details['claimed_tokens']
    } else record.details['claimed_tokens'] = `${claimed.inputTokens} in, ${claimed.outputTokens} out`
  }

  #allowedTokens(): number {
    const { request } = this.#exchange
    this.#allowed ??= request.body ? allowedTokens(request.body, membersOf(request)) : 0
    return this.#allowed
  }

  #isUnseen(body: Buffer | undefined): boolean {
    this.#namesContent ??= body === undefined || namesContent(body)
    return this.#namesContent
  }
}
