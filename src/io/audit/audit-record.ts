/**
 * A record of the audit file: one line of canonical JSON (RFC 8785), chained to the previous record by
 * `hash = SHA-256(prev || the record without hash)`. Canonical JSON makes every changed byte detectable.
 */
import { createHash } from 'node:crypto'
import canonicalize from 'canonicalize'

/** `prev` of the first record. */
export const GENESIS_HASH = '0'.repeat(64)

/** The longest record, in bytes with its line end. Bounds the memory of readers. */
export const MAX_RECORD_BYTES = 1_048_576

/** The head of a chain: the last record's sequence number and hash. */
export interface AuditHead {
  /** From 1, without gaps; 0 before the first record. */
  readonly seq: number
  /** SHA-256, lower-case hex. */
  readonly hash: string
}

/** A chain without records. */
export const EMPTY_HEAD: AuditHead = { seq: 0, hash: GENESIS_HASH }

/** A record that was read. */
export interface AuditRecord {
  readonly seq: number
  readonly type: string
  readonly hash: string
  readonly fields: Readonly<Record<string, unknown>>
}

type Json = string | number | boolean | null | Json[] | { [key: string]: Json }

const OWN_FIELDS: ReadonlySet<string> = new Set(['seq', 'ts', 'type', 'prev', 'hash'])

/** Names, without punctuation, of fields that must never be recorded: secrets (rule 8) and prompts. */
const FORBIDDEN =
  /^(?:authorization|proxyauthorization|cookie|setcookie|signature|paymentsignature|xpayment|privatekey|secretkey|mnemonic|seed|password|apikey|prompt|messages|body)$/

/** A 65-byte ECDSA signature in hex. An unspent signature is money. */
const SIGNATURE_VALUE = /^(?:0x)?[0-9a-f]{130}$/i

/**
 * Composes the record that follows `head`.
 * @param ts milliseconds since the epoch
 * @param fields plain data: amounts as bigint or string, whole numbers, text, booleans, null, and lists and objects of these;
 * `undefined` is left out
 * @throws TypeError for a field that must not or cannot be recorded, and for a record over {@link MAX_RECORD_BYTES}
 */
export function composeRecord(
  head: AuditHead,
  ts: number,
  type: string,
  fields: Readonly<Record<string, unknown>>,
): { readonly line: Buffer; readonly head: AuditHead } {
  for (const name of Object.keys(fields)) {
    if (OWN_FIELDS.has(name)) throw new TypeError(`audit field ${name} belongs to the record itself`)
  }
  const seq = head.seq + 1
  const record = {
    ...plainObject(fields, ''),
    seq,
    ts: new Date(ts).toISOString(),
    type: type.toWellFormed(),
    prev: head.hash,
  }
  const hash = hashOf(head.hash, record)
  const line = Buffer.from(`${canonical({ ...record, hash })}\n`, 'utf8')
  if (line.length > MAX_RECORD_BYTES) {
    throw new TypeError(`audit record ${type} is over ${MAX_RECORD_BYTES} bytes: record a digest instead`)
  }
  return { line, head: { seq, hash } }
}

/**
 * Parses a line and checks that it is the record that follows `head`.
 * @param line without its line end
 * @param head `undefined` to check only the record itself
 * @returns the record, or what is wrong with the line
 */
export function readRecord(line: Uint8Array, head: AuditHead | undefined): AuditRecord | string {
  const record = parse(line)
  if (typeof record === 'string') return record
  const { hash, ...rest } = record
  const [seq, prev, type] = [rest['seq'], rest['prev'], rest['type']]
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 1) return 'it has no sequence number'
  if (typeof type !== 'string' || typeof prev !== 'string' || typeof hash !== 'string') {
    return 'it has no type, prev or hash'
  }
  if (head && seq !== head.seq + 1) return `its sequence number is ${seq} instead of ${head.seq + 1}`
  if (head && prev !== head.hash) return 'its prev is not the hash of the previous record'
  if (hash !== hashOf(prev, rest)) return 'its hash does not match its content'
  return { seq, type, hash, fields: record }
}

function parse(line: Uint8Array): Record<string, unknown> | string {
  let value: unknown
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(line)
    value = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'it is not a JSON object'
    if (canonicalize(value) !== text) return 'it is not canonical JSON, so it is not what was written'
  } catch {
    return 'it is not valid JSON'
  }
  return { ...value }
}

function hashOf(prev: string, record: Readonly<Record<string, unknown>>): string {
  return createHash('sha256').update(prev, 'utf8').update(canonical(record), 'utf8').digest('hex')
}

function canonical(record: Readonly<Record<string, unknown>>): string {
  const text = canonicalize(record)
  if (text === undefined) throw new TypeError('an audit record must be an object')
  return text
}

function plainObject(value: object, at: string): Record<string, Json> {
  const entries = Object.entries(value).filter((entry) => entry[1] !== undefined)
  return Object.fromEntries(
    entries.map(([name, field]) => {
      const where = at === '' ? name : `${at}.${name}`
      if (FORBIDDEN.test(name.toLowerCase().replace(/[^a-z0-9]/g, ''))) {
        throw new TypeError(`audit field ${where} is of a kind that must never be recorded`)
      }
      return [name.toWellFormed(), plain(field, where)]
    }),
  )
}

function plain(value: unknown, at: string): Json {
  if (value === null || typeof value === 'boolean') return value
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'string') {
    if (SIGNATURE_VALUE.test(value)) throw new TypeError(`audit field ${at} holds a signature`)
    return value.toWellFormed()
  }
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value)) return value
    throw new TypeError(`audit field ${at} is not a whole number: give durations and money as strings`)
  }
  if (Array.isArray(value)) return value.map((item, index) => plain(item, `${at}[${index}]`))
  if (typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    return plainObject(value, at)
  }
  throw new TypeError(`audit field ${at} is not plain data`)
}
