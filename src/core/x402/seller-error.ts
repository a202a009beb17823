/** What a seller says about a failed payment, wherever it says it. Hints for people: no words prove anything about the money (rule 4). */
import { property } from '../property.ts'
import { HEADERS } from './payment-headers.ts'
import { readBodyJson, readHeaderJson, textOf } from './wire-json.ts'
import { MAX_CHALLENGE_BYTES } from './x402.ts'

/** A seller's words as it sent them: not cleaned, so never for a client as they are. */
export interface SellerError {
  /** A name that programs compare, such as `context_length_exceeded`. */
  readonly code: string | undefined
  /** All that it says, each text once, joined by `: `; `undefined` when it says nothing. */
  readonly message: string | undefined
}

/** Where sellers and facilitators write reasons, the most telling first. */
const TEXT_FIELDS = [
  'errorReason',
  'invalidReason',
  'error',
  'errorMessage',
  'invalidMessage',
  'message',
  'msg',
  'reason',
  'title',
  'detail',
  'details',
  'debug',
  'errors',
] as const

const CODE_FIELDS = ['errorReason', 'invalidReason', 'code', 'error', 'reason', 'type'] as const

/** Headers with base64 JSON: receipts first, then a fresh challenge, whose `error` official v2 sellers use. */
const JSON_HEADERS = [HEADERS.response, HEADERS.responseV1, HEADERS.required, HEADERS.requiredOther] as const

const PLAIN_HEADERS = ['payment-error', 'x-payment-error'] as const

/** A name, not a sentence: letters and digits with at least one underscore. */
const CODE = /^[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+$/

/** Said to everybody who has not paid yet. */
const NOT_TELLING = /^(?:payment required|payment_required|.{0,40}header is required)\.?$/i

/** All that a page says shortly. */
const TITLE = /<title[^>]{0,100}>([^<]{1,200})<\/title>/i

const MAX_TEXTS = 8
const MAX_DEPTH = 4
/** Longest single text that is kept, characters. */
const MAX_TEXT = 300

/** Reads every place in which a reason may stand. */
export function readSellerError(header: (name: string) => string | undefined, body: Uint8Array): SellerError {
  const text = textOf(body)
  const json = readBodyJson(body)
  const decoded = JSON_HEADERS.flatMap((name) => {
    const value = header(name)
    return value === undefined || value.length > MAX_CHALLENGE_BYTES ? [] : readHeaderJson(value)
  })
  const sources = [...decoded, json]
  const texts: string[] = []
  for (const source of sources) collect(source, texts, 0)
  for (const name of PLAIN_HEADERS) add(header(name), texts)
  if (json === undefined) add(/^\s*</.test(text) ? TITLE.exec(text)?.[1] : text, texts)
  const telling = texts.filter((each) => !NOT_TELLING.test(each))
  const chosen = (telling.length > 0 ? telling : texts).filter(
    (each, index, all) => !all.some((other, at) => at !== index && contains(other, each, at < index)),
  )
  return {
    code: sources.map((source) => codeIn(source, 0)).find((code) => code !== undefined),
    message: chosen.length === 0 ? undefined : chosen.slice(0, MAX_TEXTS).join(': '),
  }
}

function contains(other: string, text: string, isEarlier: boolean): boolean {
  return other === text ? isEarlier : other.includes(text)
}

function collect(value: unknown, texts: string[], depth: number): void {
  if (typeof value === 'string') return add(value, texts)
  if (depth >= MAX_DEPTH || texts.length > 2 * MAX_TEXTS) return
  if (Array.isArray(value)) {
    for (const item of value.slice(0, MAX_TEXTS)) collect(item, texts, depth + 1)
    return
  }
  for (const field of TEXT_FIELDS) {
    const found = property(value, field)
    if (found !== undefined && found !== null) collect(found, texts, depth + 1)
  }
}

function add(text: string | undefined, texts: string[]): void {
  const trimmed = text?.trim().slice(0, MAX_TEXT) ?? ''
  if (trimmed !== '') texts.push(trimmed)
}

function codeIn(value: unknown, depth: number): string | undefined {
  if (depth >= MAX_DEPTH || typeof value !== 'object' || value === null) return undefined
  // An error inside says more than the names around it.
  for (const field of ['error', 'detail', 'errors'] as const) {
    const inner = property(value, field)
    const code = codeIn(Array.isArray(inner) ? inner[0] : inner, depth + 1)
    if (code !== undefined) return code
  }
  for (const field of CODE_FIELDS) {
    const code = property(value, field)
    if (typeof code !== 'string' || code.length > 100 || NOT_TELLING.test(code)) continue
    if (CODE.test(code) || field === 'errorReason' || field === 'invalidReason') {
      if (/^[\w.:-]+$/.test(code)) return code
    }
  }
  return undefined
}
