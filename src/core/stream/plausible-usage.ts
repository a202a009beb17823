/**
 * How many tokens an answer can have used. A seller's counts are its word alone: they limit callers and stand in reports, so that
 * one number without measure would lock a caller out or spoil every total.
 */
import type { Usage } from './usage.ts'

/** Fewest bytes of a token: tokenizers that fall back to bytes have tokens of one. */
const MIN_BYTES_PER_TOKEN = 1

/** Input tokens that a chat template adds to a request, whatever its size. */
const TEMPLATE_TOKENS = 32

/** Most tokens that are believed without their bytes: as many as the largest context window in use. */
const UNSEEN_TOKENS = 2_000_000

/** What bounds the counts. */
export interface UsageEvidence {
  /** The request's body; `undefined` where it was not read. */
  readonly request: Uint8Array | undefined
  /** What has arrived of the answer, decoded, bytes. */
  readonly answerBytes: number
  /** Output tokens that the request allowed, for all its answers together; 0 if it named no limit. */
  readonly maxTokens: number
  /** Whether the operator has an account there, unlike with a seller that is paid per request. */
  readonly isKeyed: boolean
  /** What {@link namesContent} says of the request, where it is known already. */
  readonly isUnseen?: boolean | undefined
}

/**
 * The claimed counts, or as many as are possible: a byte of the request or of the answer for each, and output up to the limit that
 * the request set. Of an account's own provider tokens are believed that never travel: hidden reasoning that it counts as such, and
 * what a request only names (images and files by address, earlier turns, searches).
 */
export function plausibleUsage(claimed: Usage, evidence: UsageEvidence): Usage {
  const { request, answerBytes, maxTokens, isKeyed } = evidence
  const isUnseen = request === undefined || (isKeyed && (evidence.isUnseen ?? namesContent(request)))
  const input = tokensIn(request?.length ?? 0) + TEMPLATE_TOKENS + (isUnseen ? UNSEEN_TOKENS : 0)
  const hidden = isKeyed ? Math.min(claimed.reasoningTokens ?? 0, UNSEEN_TOKENS) : 0
  const output = Math.max(tokensIn(answerBytes), maxTokens) + hidden
  const inputTokens = Math.min(claimed.inputTokens, input)
  const outputTokens = Math.min(claimed.outputTokens, output)
  if (!isKeyed) return { inputTokens, outputTokens }
  // The kinds of tokens that an account is billed for at different prices.
  const { cachedInputTokens: cached, cacheWriteTokens: write, reasoningTokens: thought, seconds } = claimed
  return {
    inputTokens,
    outputTokens,
    ...(cached === undefined ? {} : { cachedInputTokens: Math.min(cached, inputTokens) }),
    ...(write === undefined ? {} : { cacheWriteTokens: Math.min(write, inputTokens) }),
    ...(thought === undefined ? {} : { reasoningTokens: Math.min(thought, outputTokens) }),
    ...(seconds === undefined ? {} : { seconds }),
  }
}

/** The most tokens that these bytes can be. */
function tokensIn(bytes: number): number {
  return Math.floor(bytes / MIN_BYTES_PER_TOKEN)
}

/** Fields of OpenAI's and Anthropic's requests by which a provider reads what is not in the body. */
const NAMING_FIELDS = [
  'image_url',
  'file_id',
  'file_url',
  'url',
  'previous_response_id',
  'conversation',
  'container',
  'web_search_options',
  'mcp_servers',
].map((name) => `"${name}"`)

/** Tools that the provider runs itself. */
const HOSTED_TOOLS = [
  'web_search',
  'web_fetch',
  'file_search',
  'code_interpreter',
  'code_execution',
  'mcp',
  'computer',
].map((name) => `"${name}`)

/** Whether a request names input that does not travel with it, such as an image by address. */
export function namesContent(body: Uint8Array): boolean {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  return [...NAMING_FIELDS, ...HOSTED_TOOLS].some((name) => text.includes(name))
}
