/**
 * The one judge of errors in what sellers answer with status 200: whole JSON answers, single events, and answers that are
 * only counted. Pure. The forms are those of OpenAI, Anthropic, OpenRouter, vLLM (`object: "error"`), MiniMax (`base_resp`),
 * FastAPI (`detail`), Cloudflare (`success: false`, `errors`), API gateways (`code` and `message`) and x402 challenges.
 */
import { isJson, member, type Json } from './stream-json.ts'

/** The members of an object that {@link errorIn} and {@link likelyErrorIn} look at. */
export const ERROR_MEMBERS: ReadonlySet<string> = new Set([
  'Code',
  'Error',
  'Message',
  'ResponseMetadata',
  'accepts',
  'base_resp',
  'code',
  'description',
  'detail',
  'err',
  'errcode',
  'errmsg',
  'error',
  'error_code',
  'error_description',
  'error_message',
  'error_msg',
  'errorMessage',
  'errors',
  'exc',
  'exception',
  'failure',
  'fault',
  'message',
  'msg',
  'object',
  'ok',
  'paymentRequired',
  'reason',
  'response',
  'status',
  'statusCode',
  'success',
  'title',
  'traceback',
  'type',
  'x402Version',
])

const MAX_MESSAGE_LENGTH = 256

/** Values that sellers put where an error would be when there is none. */
const NO_ERROR: ReadonlySet<string> = new Set([
  '',
  '0',
  '200',
  'false',
  'nil',
  'no error',
  'none',
  'null',
  'ok',
  'success',
  'undefined',
])

/** Nothing that is empty is nested deeper than this; a hostile text could be. */
const MAX_DEPTH = 4

/** Whether a value says that there is no error: `null`, `false`, `0`, `""`, `{}`, `[]`, or an object of nothing else. */
export function isNothing(value: unknown, depth = 0): boolean {
  if (value === undefined || value === null || value === false) return true
  if (typeof value === 'number') return value === 0 || value === 200
  if (typeof value === 'string') return NO_ERROR.has(value.trim().toLowerCase())
  if (typeof value !== 'object' || depth >= MAX_DEPTH) return false
  return Object.values(value).every((inner) => isNothing(inner, depth + 1))
}

/**
 * The seller's message where an object certainly reports an error.
 * @returns `undefined` when it reports none
 */
export function errorIn(given: Json): string | undefined {
  const { error, errors, object, type, response } = given
  if (!isNothing(error)) return messageIn(error) ?? messageIn(given) ?? 'error'
  if (Array.isArray(errors) && !isNothing(errors)) return messageIn(errors) ?? 'error'
  if (isJson(response) && (type === 'response.failed' || response['status'] === 'failed')) {
    return messageIn(response['error']) ?? 'error'
  }
  if (object === 'error' || type === 'error' || type === 'response.failed') return messageIn(given) ?? 'error'
  const base = given['base_resp']
  if (isNothing(member(base, 'status_code'))) return undefined
  return messageIn(member(base, 'status_msg')) ?? 'error'
}

/**
 * The same for signs that mean an error only where the object contains nothing of an answer.
 * @returns `undefined` when there is no such sign
 */
export function likelyErrorIn(given: Json): string | undefined {
  const certain = errorIn(given)
  if (certain !== undefined) return certain
  if (isChallenge(given)) return 'asked for another payment'
  const { success, ok, status, title } = given
  for (const name of LIKELY_MEMBERS) {
    if (!isNothing(given[name])) return messageIn(given[name]) ?? 'error'
  }
  const isFailed = typeof status === 'string' && /^(?:error|fail|failed|failure)$/i.test(status)
  if (success === false || ok === false || isFailed) return messageIn(given) ?? 'error'
  const code = [given['code'], given['error_code'], given['statusCode'], status].find(isErrorCode)
  const message = messageIn([
    given['message'],
    given['msg'],
    given['error_msg'],
    given['errorMessage'],
    title,
  ])
  if (given['error_msg'] !== undefined || given['errorMessage'] !== undefined) return message
  if (code === undefined) return undefined
  return message ?? (isErrorName(code) ? messageIn(code) : undefined)
}

/** Members that hold an error where the object contains no answer. */
const LIKELY_MEMBERS = [
  'detail',
  'errors',
  'error_message',
  'errmsg',
  'err',
  'Error',
  'exc',
  'exception',
  'failure',
  'fault',
  'traceback',
  'ResponseMetadata',
] as const

/** Codes that mean an error by themselves: HTTP's, and names such as `insufficient_balance`. */
function isErrorName(code: unknown): boolean {
  if (typeof code === 'number') return code >= 400 && code <= 599
  return typeof code === 'string' && /^[a-z]+(?:_[a-z]+)+$/.test(code) && !/^in_progress$/.test(code)
}

/** Whether an object is an x402 challenge, or wraps one: an answer of 402 that came with another status. */
export function isChallenge(given: Json): boolean {
  return [given, given['detail'], given['data'], given['paymentRequired'], given['error']].some(
    (place) => member(place, 'x402Version') !== undefined && member(place, 'accepts') !== undefined,
  )
}

function isErrorCode(value: unknown): boolean {
  if (typeof value === 'number') return value !== 0 && (value < 200 || value > 299)
  return (
    typeof value === 'string' && !isNothing(value) && !/^(?:2\d\d|queued|in_progress|completed)$/.test(value)
  )
}

/** Where sellers describe an error, the most helpful first. */
const MESSAGE_MEMBERS = [
  'message',
  'msg',
  'detail',
  'error_description',
  'description',
  'error_msg',
  'errorMessage',
  'status_msg',
  'reason',
  'title',
  'Message',
  'faultstring',
  'error',
  'Error',
  'code',
  'type',
] as const

/** The first message in a text, a list or an object, at most 256 characters. */
export function messageIn(value: unknown, depth = 0): string | undefined {
  if (typeof value === 'string') return isNothing(value) ? undefined : value.slice(0, MAX_MESSAGE_LENGTH)
  if (typeof value === 'number') return isNothing(value) ? undefined : String(value)
  if (depth >= MAX_DEPTH || typeof value !== 'object' || value === null) return undefined
  const places = Array.isArray(value) ? value.slice(0, 8) : MESSAGE_MEMBERS.map((name) => member(value, name))
  for (const place of places) {
    const message = messageIn(place, depth + 1)
    if (message !== undefined) return message
  }
  return undefined
}
