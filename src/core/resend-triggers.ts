/**
 * Words in an error at which clients change their request and send it again by themselves. After a payment that would pay a
 * second time (rule 5), so a seller's text that holds them is kept out of the body; the audit record has it whole.
 * Source: the strings that LiteLLM's exception mapping searches for (roles, prompt shape, context window).
 */
const TRIGGERS: readonly RegExp[] = [
  /roles must alternate/i,
  /last message must have role/i,
  /is not a valid field/i,
  /context (?:length|limit|window)/i,
  /(?:string|prompt|input) (?:is )?too long/i,
  /maximum number of tokens|input tokens exceed|max_new_tokens/i,
]

/** Whether stock clients resend a changed request when an error says this. */
export function makesClientsResend(text: string): boolean {
  return TRIGGERS.some((trigger) => trigger.test(text))
}
