/** What of a call is billed: tokens, pictures and time; the most of it before the send. */
import { isJson, parseJson } from '../stream/stream-json.ts'
import type { Usage } from '../stream/usage.ts'
import type { ModelInfo } from '../routing/route.ts'
import { askedAnswers } from '../routing/max-tokens.ts'
import { mostTokens, type TokenCounts } from './token-counts.ts'

/** Tokens, pictures and time of a call. */
export interface CallSize extends TokenCounts {
  readonly cachedInputTokens?: number | undefined
  readonly cacheWriteTokens?: number | undefined
  /** Pictures in the request. */
  readonly inputImages?: number | undefined
  /** Pictures that the request asks for. */
  readonly outputImages?: number | undefined
  /** Of audio at the endpoints that transcribe, else that the call takes. */
  readonly milliseconds?: number | undefined
}

/** A call as it is sent. */
export interface SentCall {
  /** Decoded. */
  readonly body: Uint8Array | undefined
  /** Without `/v1`. */
  readonly endpoint: string
  /** The longest that the call may take, milliseconds. */
  readonly maxMs: number
}

/** Fewest bytes of a second of audio: 4 kbit/s, less than any codec that the endpoints take has for speech. */
export const MIN_AUDIO_BYTES_PER_SECOND = 500

/** Most pictures that a request to `/images/*` asks for, where its `n` cannot be read: as many as OpenAI makes. */
export const MAX_IMAGES = 10

/** The most that a call may take. Pictures are in the request itself: their number is exact. */
export function mostOf(call: SentCall, info: ModelInfo | undefined): CallSize {
  const tokens = mostTokens(call.body, call.endpoint, info)
  const hasImages = info?.inputUsdPerImage !== undefined || info?.outputUsdPerImage !== undefined
  const hasTime = info?.inputUsdPerSecond !== undefined || info?.outputUsdPerSecond !== undefined
  return {
    ...tokens,
    ...(hasImages ? imagesOf(call) : {}),
    ...(hasTime ? { milliseconds: mostTime(call) } : {}),
  }
}

/**
 * What a call took by the usage of its answer.
 * @param tookMs how long it ran; `undefined` while it runs
 * @returns `undefined` where it is billed by its time and still runs
 */
export function usedBy(
  endpoint: string,
  most: CallSize,
  usage: Usage,
  tookMs: number | undefined,
): CallSize | undefined {
  const { inputImages, outputImages } = most
  const size = { ...usage, inputImages, outputImages }
  if (most.milliseconds === undefined) return size
  if (transcribes(endpoint)) {
    const { seconds } = usage
    // No more than the audio that was sent can last: an answer can name any length.
    const heard = seconds === undefined ? most.milliseconds : Math.ceil(seconds * 1000)
    return { ...size, milliseconds: Math.min(heard, most.milliseconds) }
  }
  return tookMs === undefined ? undefined : { ...size, milliseconds: Math.ceil(tookMs) }
}

function transcribes(endpoint: string): boolean {
  return endpoint === '/audio/transcriptions' || endpoint === '/audio/translations'
}

function mostTime({ body, endpoint, maxMs }: SentCall): number {
  if (!transcribes(endpoint)) return maxMs
  return Math.ceil((body?.length ?? 0) / MIN_AUDIO_BYTES_PER_SECOND) * 1000
}

function imagesOf({ body, endpoint }: SentCall): Pick<CallSize, 'inputImages' | 'outputImages'> {
  if (body === undefined) return {}
  if (endpoint.startsWith('/images/')) return { outputImages: askedImages(body) }
  const json = parseJson(Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8'))
  return { inputImages: json === undefined ? 0 : imagesIn(json) }
}

/** In JSON as in chat; in a form, the field `n`. */
function askedImages(body: Uint8Array): number {
  const text = Buffer.from(body.buffer, body.byteOffset, body.length)
  if (text[0] === OPEN_BRACE) return askedAnswers(body)
  if (!text.includes('name="n"')) return 1
  const field = /name="n"[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n([0-9]{1,3})\r?\n/.exec(text.toString('latin1'))
  return field?.[1] === undefined ? MAX_IMAGES : Math.max(1, Number(field[1]))
}

const OPEN_BRACE = 0x7b

const IMAGE_TYPES: ReadonlySet<unknown> = new Set(['image_url', 'input_image', 'image'])

/** The parts of messages that are pictures, at any depth: tools answer with some as well. */
function imagesIn(root: unknown): number {
  let found = 0
  const open: unknown[] = [root]
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (Array.isArray(value)) {
      for (const item of value) if (isObject(item)) open.push(item)
    } else if (isJson(value)) {
      if (IMAGE_TYPES.has(value['type']) || isObject(value['image_url'])) found += 1
      for (const item of Object.values(value)) if (isObject(item)) open.push(item)
    }
  }
  return found
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}
