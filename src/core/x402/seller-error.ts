/** What a seller says about a failed payment, wherever it says it. Hints for people: no words prove anything about the money (rule 4). */
import { HEADERS } from './payment-headers.ts'
import { pageWords } from './seller-page.ts'
import { codeIn, jsonOf, MAX_TEXTS, NOT_TELLING, SellerWords } from './seller-words.ts'
import { readBodyJson, readHeaderJson, textOf } from './wire-json.ts'
import { MAX_CHALLENGE_BYTES } from './x402.ts'

/** A seller's words as it sent them: not cleaned, so never for a client as they are. */
export interface SellerError {
  /** A name that programs compare, such as `context_length_exceeded`. */
  readonly code: string | undefined
  /** All that it says, each text once, joined by `: `; `undefined` when it says nothing. */
  readonly message: string | undefined
}

/** Headers with base64 JSON: receipts first, then a fresh challenge, whose `error` official v2 sellers use. */
const JSON_HEADERS = [HEADERS.response, HEADERS.responseV1, HEADERS.required, HEADERS.requiredOther] as const

/** Headers with words, in any of their spellings. */
const PLAIN_HEADERS = [
  'payment-error',
  'x-payment-error',
  'x402-error',
  'x-payment-error-reason',
  'x-error-message',
  'x-error',
  'grpc-message',
] as const

/** The parameters of a challenge for credentials (RFC 6750, 3). */
const AUTHENTICATE = /\berror(?:_description)?="([^"]{1,200})"/g

/** A form, as OAuth's error endpoints answer. */
const FORM = /^error[\w.-]*=[^&\s]{1,300}(?:&[\w.-]+=[^&\s]{0,300}){0,20}$/

/** The most lines of a stream that are read. */
const MAX_LINES = 20

/** Reads every place in which a reason may stand. */
export function readSellerError(header: (name: string) => string | undefined, body: Uint8Array): SellerError {
  const text = textOf(body)
  const json = readBodyJson(body)
  const decoded = [...JSON_HEADERS, ...PLAIN_HEADERS].flatMap((name) => {
    const value = header(name)
    return value === undefined || value.length > MAX_CHALLENGE_BYTES ? [] : readHeaderJson(value)
  })
  const others = json === undefined ? [...linesOf(text), ...formOf(text)] : []
  const sources = [...decoded, json, ...others]
  const words = new SellerWords()
  for (const source of sources) words.collect(source)
  for (const name of PLAIN_HEADERS) {
    const value = header(name)
    if (value !== undefined && readHeaderJson(value).length === 0) words.add(percentDecoded(value))
  }
  for (const [, said] of (header('www-authenticate') ?? '').matchAll(AUTHENTICATE)) words.add(said)
  if (json === undefined && others.length === 0) {
    for (const said of /^\s*</.test(text) ? pageWords(text) : [text]) words.add(said)
  }
  const { texts } = words
  const telling = texts.filter((each) => !NOT_TELLING.test(each))
  const chosen = (telling.length > 0 ? telling : texts).filter(
    (each, index, all) => !all.some((other, at) => at !== index && contains(other, each, at < index)),
  )
  return {
    code: sources.map((source) => codeIn(source)).find((code) => code !== undefined),
    message: chosen.length === 0 ? undefined : chosen.slice(0, MAX_TEXTS).join(': '),
  }
}

/** Whether an answer says more than that a payment is required. */
export function isTelling({ message }: SellerError): boolean {
  return message !== undefined && !NOT_TELLING.test(message)
}

/** The JSON of events or of lines; empty for any other text. */
function linesOf(text: string): unknown[] {
  return text
    .split(/\r?\n/, MAX_LINES)
    .map((line) => jsonOf(line.replace(/^data: ?/, '')))
    .filter((value) => value !== undefined)
}

function formOf(text: string): unknown[] {
  return FORM.test(text.trim()) ? [Object.fromEntries(new URLSearchParams(text.trim()))] : []
}

/** As gRPC writes its messages; a text that is not encoded stays as it is. */
function percentDecoded(text: string): string {
  if (!/%[\da-f]{2}/i.test(text)) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function contains(other: string, text: string, isEarlier: boolean): boolean {
  return other === text ? isEarlier : other.includes(text)
}
