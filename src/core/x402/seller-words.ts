/** The words and the code of an error in a JSON value, in whatever form a framework, a facilitator or an API gateway writes it. */
import { isRecord, readHeaderJson } from './wire-json.ts'

/** Said to everybody who has not paid yet. */
export const NOT_TELLING = /^(?:payment required|payment_required|.{0,40}header is required)\.?$/i

/** Where reasons are written, the most telling first; in any case, with or without `_`, `-` and `.`. */
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
  'shortmessage',
  'usermessage',
  'developermessage',
  'errormsg',
  'errmsg',
  'err',
  'errordetails',
  'errordetail',
  'failure',
  'fault',
  'faultstring',
  'exception',
  'statusmsg',
  'statusmessage',
  'statustext',
  'explanation',
  'reasons',
  'messages',
  'warning',
  'warnings',
  'nonfielderrors',
  'invalidparams',
  'violations',
  'issues',
  'hint',
  'summary',
  'text',
  'value',
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
  'facilitator',
  'facilitatorresponse',
] as const

/** Where an error stands inside another. */
const INNER = ['error', 'detail', 'details', 'errors', 'message', 'fault', 'baseresp', ...CONTAINERS] as const

/** Fields whose members may have any name, such as those of a form. */
const FREE: ReadonlySet<string> = new Set([
  'detail',
  'details',
  'errors',
  'debug',
  'errordetails',
  'errordetail',
])

/** What describes the offer, the service or the request: no words about a failure stand there. */
const OTHERS: ReadonlySet<string> = new Set([
  'accepts',
  'accepted',
  'paymentrequirements',
  'resource',
  'extensions',
  'outputschema',
  'input',
  'request',
  'headers',
  'config',
  'choices',
  'usage',
])

/** Fields whose value is a code in any spelling. */
const CODE_FIELDS: ReadonlySet<string> = new Set(['code', 'errorcode', 'errcode', 'statuscode'])

/** Fields that hold a code or a sentence: what has no underscore is taken for a word. */
const NAMED_FIELDS = [
  'errorreason',
  'invalidreason',
  'failurereason',
  'code',
  'errorcode',
  'errcode',
  'error',
  'reason',
  'type',
  'status',
  'result',
  'statuscode',
] as const

/** A name, not a sentence: letters and digits with at least one underscore. */
const CODE = /^[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+$/
/** A code by the name of its field; a status of HTTP is none. */
const TOKEN = /^(?=.*[A-Za-z]|\d{4})[\w.:-]{2,64}$/

/** JSON behind a few words, as programs write that pass on what another one answered. */
const EMBEDDED = /^[^{[]{0,80}([{[].*[}\]])\s*$/s

export const MAX_TEXTS = 8
const MAX_DEPTH = 7
/** The most values that are looked at. */
const MAX_VALUES = 400
/** Longest text that is looked into for JSON, characters. */
const MAX_INNER = 4_000
/** Longest single text that is kept, characters. */
const MAX_TEXT = 300

/** Gathers what a value says; one for all places of an answer. */
export class SellerWords {
  /** Each text as it was found, the most telling of each place first. */
  readonly texts: string[] = []
  #left = MAX_VALUES

  /** Adds a text as it is. */
  add(text: string | undefined): void {
    const trimmed = text?.trim().slice(0, MAX_TEXT) ?? ''
    if (trimmed !== '') this.texts.push(trimmed)
  }

  /** Adds what a JSON value says. */
  collect(value: unknown, depth = 0, isFree = false): void {
    if (typeof value === 'string') return this.#text(value, depth)
    if (depth >= MAX_DEPTH || this.texts.length > 2 * MAX_TEXTS || this.#left-- <= 0) return
    if (Array.isArray(value)) {
      for (const item of value.slice(0, MAX_TEXTS)) this.collect(item, depth + 1, isFree)
      return
    }
    if (!isRecord(value)) return
    const before = this.texts.length
    const members = membersOf(value)
    for (const field of TEXT_FIELDS) {
      for (const found of members.get(field) ?? []) this.collect(found, depth + 1, FREE.has(field))
    }
    for (const field of CONTAINERS) {
      for (const found of members.get(field) ?? [])
        if (typeof found === 'object') this.collect(found, depth + 1)
    }
    if (this.texts.length === before) this.#otherwise(value, members, depth, isFree)
  }

  /** Nothing stands under a known name. */
  #otherwise(
    value: Readonly<Record<string, unknown>>,
    members: ReadonlyMap<string, readonly unknown[]>,
    depth: number,
    isFree: boolean,
  ): void {
    const before = this.texts.length
    const all = Object.values(value).slice(0, MAX_TEXTS)
    // Django lists what is wrong with each field of a form, and nothing else.
    if (isFree || (all.length > 0 && all.every(isListOfTexts))) {
      for (const item of all) this.collect(item, depth + 1, true)
    } else {
      for (const [name, found] of members) {
        if (OTHERS.has(name)) continue
        for (const item of found) if (typeof item === 'object') this.collect(item, depth + 1)
      }
    }
    // An error that is no more than its code.
    if (this.texts.length === before) this.add(ownCode(members))
  }

  /** A text that is JSON, or ends in it, says what is in there. */
  #text(text: string, depth: number): void {
    const inner = embedded(text)
    const before = this.texts.length
    if (inner !== undefined) this.collect(inner, depth + 1)
    if (this.texts.length === before) this.add(text)
  }
}

/** The JSON object or list that a text is. */
export function jsonOf(text: string): unknown {
  const [value] = /^\s*[{[]/.test(text) ? readHeaderJson(text) : []
  return value
}

function embedded(text: string): unknown {
  return text.length > MAX_INNER ? undefined : jsonOf(EMBEDDED.exec(text)?.[1] ?? '')
}

function isListOfTexts(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'string')
}

/** The members of an object by name, in any spelling. */
function membersOf(value: Readonly<Record<string, unknown>>): ReadonlyMap<string, readonly unknown[]> {
  const members = new Map<string, unknown[]>()
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined || member === null) continue
    const name = key.replaceAll(/[-_.]/g, '').toLowerCase()
    const known = members.get(name)
    if (known) known.push(member)
    else members.set(name, [member])
  }
  return members
}

/** The code of the error in a value; the innermost error says most. */
export function codeIn(value: unknown, depth = 0): string | undefined {
  if (typeof value === 'string') return depth === 0 ? undefined : codeIn(embedded(value), depth + 1)
  if (depth >= MAX_DEPTH) return undefined
  if (Array.isArray(value)) return codeIn(value[0], depth + 1)
  if (!isRecord(value)) return undefined
  const members = membersOf(value)
  const isOffer = members.has('accepts')
  for (const field of INNER) {
    for (const inner of members.get(field) ?? []) {
      const code = codeIn(inner, depth + 1)
      if (code !== undefined) return code
    }
  }
  return ownCode(members) ?? (isOffer ? undefined : codeIn(members.get('extensions')?.[0], depth + 1))
}

/** The code among the members of an object itself. */
function ownCode(members: ReadonlyMap<string, readonly unknown[]>): string | undefined {
  for (const field of NAMED_FIELDS) {
    for (const found of members.get(field) ?? []) {
      const code = typeof found === 'number' && found >= 1000 ? String(found) : found
      if (typeof code !== 'string' || code.length > 100 || NOT_TELLING.test(code)) continue
      if (CODE.test(code) || (CODE_FIELDS.has(field) && TOKEN.test(code))) return code
      if (/.reason$/.test(field) && /^[\w.:-]+$/.test(code)) return code
    }
  }
  return undefined
}
