/** Classifies responses to unpaid requests for routing: whether the request is at fault, or another candidate may succeed. */
import { scanTopLevel } from '../json/json-scan.ts'
import type { FallbackKind } from './route.ts'

/** `ok`: relay it. `request`: the request is at fault, relay it. Otherwise another candidate may succeed. */
export type AnswerClass = 'ok' | 'request' | FallbackKind

/** Statuses of a temporary failure. 529 is Anthropic's "overloaded". */
const UNAVAILABLE: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504, 529])

/** Statuses that concern our key or credit at this upstream; another upstream may accept the request. */
const OUR_ACCOUNT: ReadonlySet<number> = new Set([401, 402, 403])

/** Statuses whose body may say that another model could serve the same request. */
const NEEDS_BODY: ReadonlySet<number> = new Set([400, 413, 422])

/** Error codes of OpenAI-compatible APIs. */
const CODES: Readonly<Record<string, FallbackKind>> = {
  context_length_exceeded: 'context_window',
  string_above_max_length: 'context_window',
  content_filter: 'content_policy',
  content_policy_violation: 'content_policy',
}

/** Whether the body must be read to determine the class. */
export function needsBody(status: number): boolean {
  return NEEDS_BODY.has(status)
}

/** Whether the same request may succeed a moment later. */
export function isTemporary(status: number): boolean {
  return UNAVAILABLE.has(status)
}

/**
 * @param ownKey whether our key was sent: only then 401, 402 and 403 concern our account
 * @param body the first bytes of the body if {@link needsBody}; a longer body is not understood
 */
export function classifyAnswer(status: number, ownKey: boolean, body?: Uint8Array): AnswerClass {
  if (status < 400) return 'ok'
  if (UNAVAILABLE.has(status) || status > 504) return 'unavailable'
  if (OUR_ACCOUNT.has(status)) return ownKey ? 'unavailable' : 'request'
  return (body && needsBody(status) ? kindOf(body) : undefined) ?? 'request'
}

function kindOf(body: Uint8Array): FallbackKind | undefined {
  const error = scanTopLevel(body)?.find(({ key }) => key === 'error')
  if (!error) return undefined
  const inner = scanTopLevel(body.subarray(error.valueStart, error.valueEnd))
  const code = inner?.find(({ key }) => key === 'code')
  if (!code) return undefined
  const text = Buffer.from(
    body.subarray(error.valueStart + code.valueStart, error.valueStart + code.valueEnd),
  )
  const name = /^"([a-z_]{1,64})"$/.exec(text.toString('latin1'))?.[1]
  return name !== undefined && Object.hasOwn(CODES, name) ? CODES[name] : undefined
}
