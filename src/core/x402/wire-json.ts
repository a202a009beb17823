/**
 * The JSON of x402's headers and bodies: written as the specification says, read in every spelling that sellers use. What is
 * read is a text and nothing more: amounts and addresses in it are checked elsewhere, and strictly.
 */
import { OPEN_BRACE } from '../json/json-bytes.ts'
import { property } from '../property.ts'

/** Standard (not URL-safe) base64 of the JSON text, as both versions use. */
export function encodeBase64Json(value: unknown): string {
  return Buffer.from(JSON.stringify(value), 'utf8').toString('base64')
}

/** Decodes base64 JSON, standard or URL-safe, padded or not; anything malformed gives `undefined`. */
export function decodeBase64Json(text: string): unknown {
  if (!/^[A-Za-z0-9+/_-]+={0,3}$/.test(text.trim())) return undefined
  return parseJson(textOf(Buffer.from(text.trim(), 'base64')))
}

/** The most values of one repeated header that are read. */
const MAX_VALUES = 8

/**
 * The JSON values in a header: base64 or base64url, plain JSON, either in quotes, in the colons of a structured field or
 * percent-encoded.
 * @param value repeated headers are joined by commas (RFC 9110, 5.3); what is unreadable is left out
 */
export function readHeaderJson(value: string): readonly unknown[] {
  const whole = decodeSpelling(value)
  if (whole !== undefined) return [whole]
  // A comma stands in plain JSON, but never in base64.
  const list = /^\s*\{/.test(value) ? parseJson(`[${value}]`) : undefined
  if (Array.isArray(list)) return list
  if (!value.includes(',')) return []
  return value
    .split(',', MAX_VALUES)
    .map(decodeSpelling)
    .filter((json) => json !== undefined)
}

/** The JSON value of a body in UTF-8 or UTF-16, with or without a byte order mark, or in a spelling of the headers. */
export function readBodyJson(body: Uint8Array): unknown {
  const text = textOf(body)
  const json = parseJson(text)
  return json === undefined || typeof json === 'string' ? (decodeSpelling(text) ?? json) : json
}

/** The text of bytes, by their byte order mark or, for JSON without one, by where its first brace has its zero. */
export function textOf(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const [first, second] = buffer
  if ((first === 0xff && second === 0xfe) || (first === OPEN_BRACE && second === 0)) {
    return withoutMark(buffer.toString('utf16le'))
  }
  if ((first === 0xfe && second === 0xff) || (first === 0 && second === OPEN_BRACE)) {
    const swapped = Buffer.from(buffer.subarray(0, buffer.length & ~1)).swap16()
    return withoutMark(swapped.toString('utf16le'))
  }
  return withoutMark(buffer.toString('utf8'))
}

/** Whether a JSON value is an object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Where frameworks wrap what a handler throws (FastAPI's `detail`), and gateways what they pass on. */
const WRAPPERS = ['detail', 'error', 'data', 'paymentRequired', 'payment_required', 'x402'] as const

/** A JSON value and the objects that frameworks wrap it in, the outermost first. */
export function unwrapped(json: unknown): readonly unknown[] {
  return [json, ...WRAPPERS.map((name) => property(json, name)).filter(isRecord)]
}

function withoutMark(text: string): string {
  return text.startsWith('\u{feff}') ? text.slice(1) : text
}

function decodeSpelling(value: string, depth = 0): unknown {
  const text = withoutMark(value.trim())
  if (/^[{[]/.test(text)) return parseJson(text)
  if (depth > 1) return decodeBase64Json(text)
  const quoted = /^(["':])(.*)\1$/s.exec(text)?.[2]
  if (quoted !== undefined) return decodeSpelling(unescaped(text) ?? quoted, depth + 1)
  if (/^%(?:7b|22)/i.test(text)) {
    const decoded = percentDecoded(text)
    return decoded === undefined ? undefined : decodeSpelling(decoded, depth + 1)
  }
  return decodeBase64Json(text.replace(/\s+/g, ''))
}

/** A JSON string's own text, where its quotes are JSON's. */
function unescaped(text: string): string | undefined {
  const json = parseJson(text)
  return typeof json === 'string' ? json : undefined
}

function percentDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
