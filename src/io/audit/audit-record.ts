/**
 * A record of the audit file: one line of canonical JSON (RFC 8785), chained to the previous record by
 * `hash = SHA-256(prev || the record without hash)`. Canonical JSON makes every changed byte detectable.
 */
import { hash as digestOf } from 'node:crypto'
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

const OWN_FIELDS: ReadonlySet<string> = new Set(['seq', 'ts', 'type', 'prev', 'hash'])

/** Names, without punctuation, of fields that must never be recorded: secrets (rule 8) and prompts. */
const FORBIDDEN =
  /^(?:authorization|proxyauthorization|cookie|setcookie|signature|paymentsignature|xpayment|privatekey|secretkey|mnemonic|seed|password|apikey|prompt|messages|body)$/

/** A 65-byte ECDSA signature in hex. An unspent signature is money. */
const SIGNATURE_VALUE = /^(?:0x)?[0-9a-f]{130}$/i
const SIGNATURE_LENGTH = 130

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
  const members = memberTexts(fields, '')
  members.set('seq', String(seq))
  members.set('ts', JSON.stringify(new Date(ts).toISOString()))
  members.set('type', textOf(type))
  members.set('prev', JSON.stringify(head.hash))
  const names = sortedNames(members)
  // The record and what is hashed of it differ by one member, in the middle.
  const at = names.findIndex((name) => name > 'hash')
  const before = at === 0 ? '' : `${membersText(names.slice(0, at), members)},`
  const after = membersText(names.slice(at), members)
  const hash = chained(head.hash, `{${before}${after}}`)
  const line = Buffer.from(`{${before}"hash":"${hash}",${after}}\n`, 'utf8')
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
  const text = canonicalize(record)
  if (text === undefined) throw new TypeError('an audit record must be an object')
  return chained(prev, text)
}

function chained(prev: string, text: string): string {
  return digestOf('sha256', prev + text, 'hex')
}

/**
 * Canonical JSON (RFC 8785) of plain data, written in one pass while it is checked. What is recorded is so plain that the general
 * way, which `readRecord` takes, would do the same work several times over.
 */
function objectText(members: ReadonlyMap<string, string>): string {
  return `{${membersText(sortedNames(members), members)}}`
}

/** In the order of UTF-16 code units, as RFC 8785 asks; that is how names are sorted by default. */
function sortedNames(members: ReadonlyMap<string, string>): string[] {
  return [...members.keys()].toSorted()
}

function membersText(names: readonly string[], members: ReadonlyMap<string, string>): string {
  let text = ''
  for (const name of names) text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${members.get(name)}`
  return text
}

/** The members of an object with their values as canonical JSON. Names that are equal once they are well-formed are one. */
function memberTexts(value: object, at: string): Map<string, string> {
  const members = new Map<string, string>()
  for (const [name, field] of Object.entries(value)) {
    if (field === undefined) continue
    if (isForbidden(name)) {
      throw new TypeError(`audit field ${at}${name} is of a kind that must never be recorded`)
    }
    members.set(name.toWellFormed(), valueText(field, `${at}${name}`))
  }
  return members
}

function valueText(value: unknown, at: string): string {
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'bigint') return `"${value}"`
  if (typeof value === 'string') {
    if (value.length >= SIGNATURE_LENGTH && SIGNATURE_VALUE.test(value))
      throw new TypeError(`audit field ${at} holds a signature`)
    return textOf(value)
  }
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value)) return String(value)
    throw new TypeError(`audit field ${at} is not a whole number: give durations and money as strings`)
  }
  if (Array.isArray(value)) {
    return `[${Array.from(value, (item: unknown, index) => valueText(item, `${at}[${index}]`)).join(',')}]`
  }
  if (typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    return objectText(memberTexts(value, `${at}.`))
  }
  throw new TypeError(`audit field ${at} is not plain data`)
}

function textOf(text: string): string {
  return JSON.stringify(text.toWellFormed())
}

/** Names that were found not to be forbidden: the same few come in every record. */
const ALLOWED = new Set<string>()
const MAX_ALLOWED = 500

function isForbidden(name: string): boolean {
  if (ALLOWED.has(name)) return false
  const found = FORBIDDEN.test(name.toLowerCase().replace(/[^a-z0-9]/g, ''))
  if (!found && ALLOWED.size < MAX_ALLOWED) ALLOWED.add(name)
  return found
}
