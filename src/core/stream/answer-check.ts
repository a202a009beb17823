/** Whether what a seller gave for its money is an answer at all. Pure, and careful: a strange answer is better than none. */
import { scanTopLevel } from '../json/json-scan.ts'
import type { AnswerKind } from './stream-json.ts'
import { isBlank } from '../json/json-bytes.ts'

/** Members of which answers of model APIs have at least one. */
const ANSWERS: ReadonlySet<string> = new Set([
  'choices',
  'output',
  'content',
  'data',
  'text',
  'results',
  'segments',
  'response',
  'candidates',
  'embedding',
  'embeddings',
  'input_tokens',
])

/** Values of an `error` that mean that there is none. */
const NO_ERROR = /^(?:null|false|0|""|\{\s*\}|\[\s*\])$/

/** Whether a JSON text reports an error and contains no part of an answer. */
export function isErrorOnly(body: Uint8Array): boolean {
  const members = scanTopLevel(body) ?? []
  if (members.some(({ key }) => ANSWERS.has(key))) return false
  return members.some(
    ({ key, valueStart, valueEnd }) =>
      key === 'error' && !NO_ERROR.test(Buffer.from(body.subarray(valueStart, valueEnd)).toString('latin1')),
  )
}

/** Whether there is nothing but blanks. */
export function isBlankText(body: Uint8Array): boolean {
  return body.every(isBlank)
}

/**
 * The media type of a body by its first bytes, where its headers leave that open.
 * @param kind the protocol that was asked for; of others only what has no type of its own is looked at
 * @param type what the headers say, lower-case, `''` for nothing
 * @returns `undefined` when the bytes are no answer; `type` itself when nothing better is known
 */
export function typeByBytes(
  kind: AnswerKind | undefined,
  type: string,
  first: Uint8Array,
): string | undefined {
  const text = Buffer.from(first.subarray(0, 256)).toString('latin1').trimStart()
  if (text === '') return undefined
  const isOpen =
    type === '' || type.startsWith('text/') || (kind !== undefined && type === 'application/octet-stream')
  if (isOpen && text.startsWith('{')) return 'application/json'
  if (isOpen && kind !== undefined && /^(?:data|event|id|retry)?:/.test(text)) return 'text/event-stream'
  return type === 'text/html' || (isOpen && /^<(?:!doctype|html|head|body)\b/i.test(text)) ? undefined : type
}
