/** What a seller says about a failed payment, wherever it says it. Hints for people: no words prove anything about the money (rule 4). */
import { HEADERS } from './payment-headers.ts'
import { isRecord, readBodyJson, readHeaderJson, textOf } from './wire-json.ts'
import { MAX_CHALLENGE_BYTES } from './x402.ts'

/** A seller's words as it sent them: not cleaned, so never for a client as they are. */
export interface SellerError {
  /** A name that programs compare, such as `context_length_exceeded`. */
  readonly code: string | undefined
  /** All that it says, each text once, joined by `: `; `undefined` when it says nothing. */
  readonly message: string | undefined
}

/** Where sellers and facilitators write reasons, the most telling first; in any case, with or without `_` and `-`. */
const TEXT_FIELDS = [
  'errorreason',
  'invalidreason',
  'failurereason',
  'error',
  'errormessage',
  'invalidmessage',
  'failuremessage',
  'message',
  'msg',
  'reason',
  'errordescription',
  'title',
  'detail',
  'details',
  'debug',
  'errors',
  'description',
] as const

/** What else holds an error: JSON-RPC's `data`, a facilitator's whole answer, a wrapper of a framework. */
const CONTAINERS = [
  'data',
  'cause',
  'result',
  'response',
  'payment',
  'verification',
  'verifyresponse',
  'verifyresult',
  'settlement',
  'settleresponse',
  'settleresult',
  'x402',
  'extra',
] as const

/** Fields whose members may have any name, such as those of a form. */
const FREE = new Set(['detail', 'details', 'errors', 'debug'])

const CODE_FIELDS = [
  'errorreason',
  'invalidreason',
  'failurereason',
  'code',
  'errorcode',
  'error',
  'reason',
  'type',
] as const

/** Headers with base64 JSON: receipts first, then a fresh challenge, whose `error` official v2 sellers use. */
const JSON_HEADERS = [HEADERS.response, HEADERS.responseV1, HEADERS.required, HEADERS.requiredOther] as const

const PLAIN_HEADERS = ['payment-error', 'x-payment-error', 'x402-error'] as const

/** The parameters of a challenge for credentials (RFC 6750, 3). */
const AUTHENTICATE = /\berror(?:_description)?="([^"]{1,200})"/g

/** A name, not a sentence: letters and digits with at least one underscore. */
const CODE = /^[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+$/

/** Said to everybody who has not paid yet. */
const NOT_TELLING = /^(?:payment required|payment_required|.{0,40}header is required)\.?$/i

/** All that a page or an XML error says shortly. */
const TITLE = /<(?:title|h1|(?:error)?message|reason|detail|description)\b[^>]{0,100}>\s*([^<]{1,200})</i

/** JSON behind a few words, as programs write that pass on what another one answered. */
const EMBEDDED = /^[^{[]{0,80}([{[].*[}\]])\s*$/s

/** The most lines of a stream that are read. */
const MAX_LINES = 20
const MAX_TEXTS = 8
const MAX_DEPTH = 4
/** Longest text that is looked into for JSON, characters. */
const MAX_INNER = 4_000
/** Longest single text that is kept, characters. */
const MAX_TEXT = 300

/** Reads every place in which a reason may stand. */
export function readSellerError(header: (name: string) => string | undefined, body: Uint8Array): SellerError {
  const text = textOf(body)
  const json = readBodyJson(body)
  const decoded = [...JSON_HEADERS, ...PLAIN_HEADERS].flatMap((name) => {
    const value = header(name)
    return value === undefined || value.length > MAX_CHALLENGE_BYTES ? [] : readHeaderJson(value)
  })
  const events = json === undefined ? linesOf(text) : []
  const sources = [...decoded, json, ...events]
  const texts: string[] = []
  for (const source of sources) collect(source, texts, 0)
  for (const name of PLAIN_HEADERS) {
    const value = header(name)
    if (value !== undefined && readHeaderJson(value).length === 0) add(value, texts)
  }
  for (const [, words] of (header('www-authenticate') ?? '').matchAll(AUTHENTICATE)) add(words, texts)
  if (json === undefined && events.length === 0) add(/^\s*</.test(text) ? TITLE.exec(text)?.[1] : text, texts)
  const telling = texts.filter((each) => !NOT_TELLING.test(each))
  const chosen = (telling.length > 0 ? telling : texts).filter(
    (each, index, all) => !all.some((other, at) => at !== index && contains(other, each, at < index)),
  )
  return {
    code: sources.map((source) => codeIn(source, 0)).find((code) => code !== undefined),
    message: chosen.length === 0 ? undefined : chosen.slice(0, MAX_TEXTS).join(': '),
  }
}

/** The JSON of events or of lines; empty for any other text. */
function linesOf(text: string): unknown[] {
  return text
    .split(/\r?\n/, MAX_LINES)
    .map((line) => jsonOf(line.replace(/^data: ?/, '')))
    .filter((value) => value !== undefined)
}

/** The JSON object or list that a text is. */
function jsonOf(text: string): unknown {
  const [value] = /^\s*[{[]/.test(text) ? readHeaderJson(text) : []
  return value
}

function contains(other: string, text: string, isEarlier: boolean): boolean {
  return other === text ? isEarlier : other.includes(text)
}

function collect(value: unknown, texts: string[], depth: number, isFree = false): void {
  if (typeof value === 'string') return collectText(value, texts, depth)
  if (depth >= MAX_DEPTH || texts.length > 2 * MAX_TEXTS) return
  if (Array.isArray(value)) {
    for (const item of value.slice(0, MAX_TEXTS)) collect(item, texts, depth + 1, isFree)
    return
  }
  if (!isRecord(value)) return
  const before = texts.length
  const members = membersOf(value)
  for (const field of TEXT_FIELDS) {
    for (const found of members.get(field) ?? []) collect(found, texts, depth + 1, FREE.has(field))
  }
  for (const field of CONTAINERS) {
    for (const found of members.get(field) ?? [])
      if (typeof found === 'object') collect(found, texts, depth + 1)
  }
  if (texts.length > before) return
  if (isFree)
    for (const item of Object.values(value).slice(0, MAX_TEXTS)) collect(item, texts, depth + 1, true)
  // An error that is no more than its code.
  else if (depth > 0)
    for (const code of members.get('code') ?? []) if (typeof code === 'string') add(code, texts)
}

/** A text that is JSON, or ends in it, says what is in there. */
function collectText(text: string, texts: string[], depth: number): void {
  const inner = text.length > MAX_INNER ? undefined : jsonOf(EMBEDDED.exec(text)?.[1] ?? '')
  const before = texts.length
  if (inner !== undefined) collect(inner, texts, depth + 1)
  if (texts.length === before) add(text, texts)
}

/** The members of an object by name, in any spelling. */
function membersOf(value: Readonly<Record<string, unknown>>): ReadonlyMap<string, unknown[]> {
  const members = new Map<string, unknown[]>()
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined || member === null) continue
    const name = key.replaceAll(/[-_]/g, '').toLowerCase()
    members.set(name, [...(members.get(name) ?? []), member])
  }
  return members
}

function add(text: string | undefined, texts: string[]): void {
  const trimmed = text?.trim().slice(0, MAX_TEXT) ?? ''
  if (trimmed !== '') texts.push(trimmed)
}

function codeIn(value: unknown, depth: number): string | undefined {
  if (typeof value === 'string')
    return depth === 0 || value.length > MAX_INNER
      ? undefined
      : codeIn(jsonOf(EMBEDDED.exec(value)?.[1] ?? ''), depth + 1)
  if (depth >= MAX_DEPTH) return undefined
  if (Array.isArray(value)) return codeIn(value[0], depth + 1)
  if (!isRecord(value)) return undefined
  const members = membersOf(value)
  // An error inside says more than the names around it.
  for (const field of ['error', 'detail', 'errors', 'message', ...CONTAINERS]) {
    for (const inner of members.get(field) ?? []) {
      const code = codeIn(inner, depth + 1)
      if (code !== undefined) return code
    }
  }
  for (const field of CODE_FIELDS) {
    for (const code of members.get(field) ?? []) {
      if (typeof code !== 'string' || code.length > 100 || NOT_TELLING.test(code)) continue
      if (CODE.test(code) || /.reason$/.test(field)) {
        if (/^[\w.:-]+$/.test(code)) return code
      }
    }
  }
  return undefined
}
