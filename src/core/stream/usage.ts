/** Token counts of a response, in every form that sellers report them. */
import { isJson, member, objects, type Json } from './stream-json.ts'

/** Token counts of a response. */
export interface Usage {
  /** All of the input, read from a cache or not. */
  readonly inputTokens: number
  readonly outputTokens: number
  /** Those of the input that were read from a cache, where the answer counts them. */
  readonly cachedInputTokens?: number | undefined
  /** Those of the input that were written to a cache, where the answer counts them. */
  readonly cacheWriteTokens?: number | undefined
  /** Length of the audio, where the answer is billed by that; its tokens are 0 then. */
  readonly seconds?: number | undefined
  /** Those of the output that were thought and not sent, where the answer counts them. */
  readonly reasoningTokens?: number | undefined
}

/** Names of the input count: OpenAI, Responses and Anthropic, Gemini, Bedrock, Ollama. */
const INPUT = [
  'prompt_tokens',
  'input_tokens',
  'promptTokenCount',
  'prompt_token_count',
  'inputTokens',
  'inputTokenCount',
  'prompt_eval_count',
] as const
const OUTPUT = [
  'completion_tokens',
  'output_tokens',
  'candidatesTokenCount',
  'candidates_token_count',
  'outputTokens',
  'outputTokenCount',
  'eval_count',
] as const
const TOTAL = ['total_tokens', 'totalTokenCount', 'total_token_count', 'totalTokens'] as const
/** Gemini counts these besides the output. */
const THOUGHTS = ['thoughtsTokenCount', 'thoughts_token_count'] as const

/** Part of the input at OpenAI (in the details), Gemini and DeepSeek. */
const CACHED_OF_INPUT = [
  'cachedContentTokenCount',
  'cached_content_token_count',
  'prompt_cache_hit_tokens',
] as const
/** Counted in addition to the input by Anthropic and Bedrock, and as part of it where the input is `prompt_tokens`. */
const CACHE_READ = ['cache_read_input_tokens', 'cacheReadInputTokens', 'cacheReadInputTokenCount'] as const
const CACHE_WRITE = [
  'cache_creation_input_tokens',
  'cacheWriteInputTokens',
  'cacheWriteInputTokenCount',
] as const
/** Inputs that leave what a cache took or gave out. */
const INPUT_WITHOUT_CACHE: ReadonlySet<string> = new Set(['input_tokens', 'inputTokens', 'inputTokenCount'])

/** Objects with the counts in the usage of Cohere: what the model read and wrote, then what is billed. */
const INNER = ['tokens', 'billed_units'] as const

/**
 * Reads a usage object of OpenAI (`prompt_tokens`), of Responses and Anthropic (`input_tokens`), Gemini, Cohere, Bedrock or
 * Ollama; `undefined` for anything else.
 */
export function readUsage(value: unknown): Usage | undefined {
  if (!isJson(value)) return undefined
  const seconds = value['type'] === 'duration' ? value['seconds'] : undefined
  if (typeof seconds === 'number' && Number.isFinite(seconds) && seconds >= 0) {
    return { inputTokens: 0, outputTokens: 0, seconds }
  }
  const total = count(firstOf(value, TOTAL))
  const given = firstOf(value, INPUT)
  if (given === undefined || given === null) {
    const inner = INNER.map((name) => value[name]).find(isJson)
    if (inner) return readUsage(inner)
    // Some rerankers and embedders report nothing but the total.
    const hasOutput = typeof firstOf(value, OUTPUT) === 'number'
    return total === undefined || hasOutput ? undefined : { inputTokens: total, outputTokens: 0 }
  }
  const written = count(given)
  if (written === undefined) return undefined
  const cache = cacheOf(value)
  const inputTokens = written + cache.besides
  const output = firstOf(value, OUTPUT)
  if (output === undefined || output === null) {
    return { inputTokens, outputTokens: Math.max(0, (total ?? inputTokens) - inputTokens), ...cache.counts }
  }
  const outputTokens = count(output)
  if (outputTokens === undefined) return undefined
  const thoughts = count(firstOf(value, THOUGHTS))
  const reasoningTokens =
    thoughts ??
    count(member(value['completion_tokens_details'] ?? value['output_tokens_details'], 'reasoning_tokens'))
  return {
    inputTokens,
    outputTokens: outputTokens + (thoughts ?? 0),
    ...cache.counts,
    ...(reasoningTokens === undefined ? {} : { reasoningTokens }),
  }
}

/** What a cache took or gave of the input. */
interface CacheUse {
  readonly counts: Pick<Usage, 'cachedInputTokens' | 'cacheWriteTokens'>
  /** Tokens that the input leaves out. */
  readonly besides: number
}

function cacheOf(value: Json): CacheUse {
  const details = value['prompt_tokens_details'] ?? value['input_tokens_details']
  const inner = count(member(details, 'cached_tokens') ?? firstOf(value, CACHED_OF_INPUT)) ?? 0
  const read = count(firstOf(value, CACHE_READ)) ?? 0
  const write = count(firstOf(value, CACHE_WRITE)) ?? 0
  const name = INPUT.find((each) => value[each] !== undefined && value[each] !== null) ?? ''
  const isBesides = INPUT_WITHOUT_CACHE.has(name) && !isJson(details)
  const cached = Math.max(inner, read)
  return {
    counts: {
      ...(cached > 0 ? { cachedInputTokens: cached } : {}),
      ...(write > 0 ? { cacheWriteTokens: write } : {}),
    },
    besides: isBesides ? read + write : 0,
  }
}

/** The members of an answer or an event that may hold usage, for those who parse no more than they need. */
export const USAGE_MEMBERS: ReadonlySet<string> = new Set([
  'usage',
  'x_groq',
  'usageMetadata',
  'usage_metadata',
  'meta',
  'amazon-bedrock-invocationMetrics',
  'prompt_eval_count',
  'eval_count',
])

/**
 * The usage that an answer or an event reports, wherever sellers put it.
 * @param given its members, or those of {@link USAGE_MEMBERS} that it has
 * @returns `undefined` when it reports none
 */
export function usageIn(given: Json): Usage | undefined {
  for (const place of PLACES) {
    const found = readUsage(place(given))
    if (found) return found
  }
  return undefined
}

const PLACES: readonly ((given: Json) => unknown)[] = [
  (given) => given['usage'],
  // Some sellers report it in the choice, and clients read it there.
  (given) => objects(given['choices']).findLast((choice) => isJson(choice['usage']))?.['usage'],
  // Groq.
  (given) => member(given['x_groq'], 'usage'),
  (given) => member(given['response'], 'usage'),
  // Gemini's own protocol.
  (given) => given['usageMetadata'] ?? given['usage_metadata'],
  // Cohere: its first protocol and its rerankers, then the last event of its second.
  (given) => given['meta'],
  (given) => member(given['delta'], 'usage'),
  (given) => given['amazon-bedrock-invocationMetrics'],
  // Ollama's own protocol.
  (given) => ('prompt_eval_count' in given ? given : undefined),
]

function firstOf(value: Json, names: readonly string[]): unknown {
  const name = names.find((each) => value[each] !== undefined && value[each] !== null)
  return name === undefined ? undefined : value[name]
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}
