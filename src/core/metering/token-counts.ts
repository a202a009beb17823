/** How many model tokens a request may take. */
import { scanTopLevel } from '../json/json-scan.ts'
import { allowedTokens, askedAnswers } from '../routing/max-tokens.ts'
import type { ModelInfo } from '../routing/route.ts'

/** Tokens of a request and its answer. */
export interface TokenCounts {
  readonly inputTokens: number
  readonly outputTokens: number
  /** Those of the output that were thought and not sent. */
  readonly reasoningTokens?: number | undefined
}

/** Output tokens of a request that names no limit, at a model whose `max_output_tokens` is not known. */
export const DEFAULT_OUTPUT_TOKENS = 16_384

/** What a picture or file that the body only refers to may add to the input, where the context window is not known. */
export const REFERENCE_TOKENS = 16_384

const REFERENCE = /"(?:image_url|input_image|input_file|file_id|file_url|image|document)"/

/** Answers with no text: nothing is generated but vectors or scores. */
const WITHOUT_OUTPUT: ReadonlySet<string> = new Set([
  '/embeddings',
  '/moderations',
  '/rerank',
  '/messages/count_tokens',
  '/responses/input_tokens',
])

/**
 * The most tokens that a request may take. The input has at most one token per byte: the tokenizers in use are byte-level, so no
 * token is shorter, and the JSON around the messages has more bytes than the chat template has tokens. Nothing shorter is safe
 * for a model whose tokenizer is not known. The output has at most what the request allows, or else what the model can write.
 * @param endpoint without `/v1`
 */
export function mostTokens(
  body: Uint8Array | undefined,
  endpoint: string,
  info: ModelInfo | undefined,
): TokenCounts {
  const bytes = body?.length ?? 0
  const text =
    body === undefined ? '' : Buffer.from(body.buffer, body.byteOffset, body.length).toString('latin1')
  const referred = REFERENCE.test(text) ? (info?.contextWindow ?? REFERENCE_TOKENS) : 0
  const whole = bytes + referred
  const inputTokens = info?.contextWindow === undefined ? whole : Math.min(whole, info.contextWindow)
  if (WITHOUT_OUTPUT.has(endpoint)) return { inputTokens, outputTokens: 0 }
  if (body === undefined) return { inputTokens, outputTokens: 0 }
  const members = scanTopLevel(body) ?? []
  const asked = allowedTokens(body, members)
  const own = (info?.maxOutputTokens ?? DEFAULT_OUTPUT_TOKENS) * askedAnswers(body, members)
  return { inputTokens, outputTokens: asked > 0 ? asked : own }
}
