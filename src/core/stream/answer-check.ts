/**
 * Whether what a seller gave for its money is an answer at all. Pure, and careful: a strange answer is better than none, as long
 * as clients of the protocol can read it.
 */
import { scanTopLevel, type Member } from '../json/json-scan.ts'
import { isBlank } from '../json/json-bytes.ts'
import { ERROR_MEMBERS, errorIn, isChallenge, isNothing, likelyErrorIn, messageIn } from './error-signs.ts'
import { answerKind, isJson, objects, parseJson, type AnswerKind, type Json } from './stream-json.ts'

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

/** Beside an error of a chat or a message these are no answer: wrappers put anything there. */
const NO_CHAT_ANSWERS: ReadonlySet<string> = new Set(['data', 'results', 'input_tokens'])

/** The list that an answer of an endpoint is made of: without an element there is no answer. */
const LISTS: ReadonlyMap<string, string> = new Map([
  ['/chat/completions', 'choices'],
  ['/completions', 'choices'],
  ['/embeddings', 'data'],
  ['/images/generations', 'data'],
  ['/images/edits', 'data'],
  ['/images/variations', 'data'],
  ['/moderations', 'results'],
  ['/rerank', 'results'],
])

/** Members that describe an answer: an object with nothing else contains no answer. */
const NOTES: ReadonlySet<string> = new Set([
  'created',
  'created_at',
  'id',
  'model',
  'object',
  'provider',
  'request_id',
  'service_tier',
  'system_fingerprint',
  'x402Version',
])

/** A longer value is not read: it holds something. */
const MAX_READ_BYTES = 65_536

/** Why a text is no answer. */
export interface NoAnswer {
  readonly what: 'nothing' | 'a web page' | 'plain text' | 'an error' | 'another demand for payment'
  /** The seller's message about it, not cleaned. */
  readonly message?: string | undefined
}

/**
 * Judges a whole body that was sent as JSON.
 * @param endpoint what was asked, e.g. `/chat/completions`
 * @param members its top-level members, where they are known, `null` for none
 * @returns `undefined` for an answer, and for what is no JSON, unless it is empty or a web page
 */
export function judgeJsonAnswer(
  endpoint: string,
  body: Uint8Array,
  members: readonly Member[] | null | undefined = scanTopLevel(body),
): NoAnswer | undefined {
  const first = body.find((byte) => !isBlank(byte))
  if (first === undefined) return { what: 'nothing' }
  if (first === LESS_THAN) return { what: 'a web page' }
  const kind = answerKind(endpoint)
  if (!members) return kind === undefined ? undefined : judgeOther(body)
  if (members.length === 0) return { what: 'nothing' }
  const given = read(body, members)
  const holdsAnswer = members.some(
    ({ key, valueStart, valueEnd }) =>
      ANSWERS.has(key) &&
      !(kind !== undefined && NO_CHAT_ANSWERS.has(key)) &&
      (valueEnd - valueStart > MAX_READ_BYTES || holdsSomething(key, given[key])),
  )
  if (holdsAnswer) return undefined
  const message = likelyErrorIn(given) ?? choiceError(given) ?? (kind && messageAlone(given))
  if (message !== undefined) return { what: isChallenge(given) ? DEMAND : 'an error', message }
  if (kind !== undefined && members.every(({ key }) => NOTES.has(key) || isEmptyMember(given, key)))
    return { what: 'nothing' }
  const list = LISTS.get(endpoint)
  if (list !== undefined && list in given && isEmptyList(list, given[list])) return { what: 'nothing' }
  return isEmptyMessage(kind, given) ? { what: 'nothing' } : undefined
}

const LESS_THAN = 0x3c
const DEMAND = 'another demand for payment'

/** JSON that is no object: Gemini sends its errors in a list; no protocol has an answer that is a bare text or number. */
function judgeOther(body: Uint8Array): NoAnswer | undefined {
  if (body.length > MAX_READ_BYTES) return undefined
  const value = parse(body)
  if (value === undefined) return undefined
  if (Array.isArray(value)) {
    const message = objects(value)
      .map(likelyErrorIn)
      .find((found) => found !== undefined)
    if (message !== undefined) return { what: 'an error', message }
    if (objects(value).some((one) => !isEmptyObject(one))) return undefined
    return noAnswerOf(value.find((one) => typeof one === 'string' && !isNothing(one)))
  }
  return noAnswerOf(value)
}

function noAnswerOf(value: unknown): NoAnswer {
  const message = typeof value === 'string' ? messageIn(value) : undefined
  return message === undefined ? { what: 'nothing' } : { what: 'plain text', message }
}

/** The members that matter, parsed; those too long to be read are left out. */
function read(body: Uint8Array, members: readonly Member[]): Json {
  const given: Record<string, unknown> = {}
  // Of several members with one key the last one counts: the others are not even parsed.
  const last = new Map(members.map((member) => [member.key, member]))
  for (const { key, valueStart, valueEnd } of last.values()) {
    if (!ERROR_MEMBERS.has(key) && !ANSWERS.has(key) && key !== 'stop_reason') continue
    if (valueEnd - valueStart <= MAX_READ_BYTES) given[key] = parse(body.subarray(valueStart, valueEnd))
  }
  return given
}

function holdsSomething(key: string, value: unknown): boolean {
  if (key === 'choices') return objects(value).some(isFilledChoice)
  if (Array.isArray(value)) return value.some((one) => one !== null && !isEmptyObject(one))
  return typeof value === 'object' ? value !== null && !isEmptyObject(value) : !isNothing(value)
}

/** Whether a choice, or the part of one that a chunk brings, has more in it than its role, its reason or an error. */
export function isFilledChoice(choice: Json): boolean {
  return ['message', 'delta', 'text'].some((name) => {
    const value = choice[name]
    if (!isJson(value)) return typeof value === 'string' && value !== ''
    // Without a list of the members: a hostile chunk has many.
    for (const inner in value) {
      if (inner === 'role' || !Object.hasOwn(value, inner)) continue
      const given = value[inner]
      if (given !== null && given !== '' && !isEmptyObject(given)) return true
    }
    return false
  })
}

function isEmptyMember(given: Json, key: string): boolean {
  return key in given && typeof given[key] !== 'string' && isNothing(given[key])
}

/** Whether a list or an object has nothing in it; does not count what it has. */
export function isEmptyObject(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0
  if (typeof value !== 'object' || value === null) return false
  for (const name in value) if (Object.hasOwn(value, name)) return false
  return true
}

/** OpenRouter reports in the choice what failed. */
function choiceError(given: Json): string | undefined {
  for (const choice of objects(given['choices'])) {
    const message = errorIn({ error: choice['error'] })
    if (message !== undefined) return message
    if (choice['finish_reason'] === 'error') return 'finish_reason: error'
  }
  return undefined
}

/** API gateways answer `{"message": "Forbidden"}`; no model API answers a message with so little. */
function messageAlone({ message, msg, Message }: Json): string | undefined {
  return messageIn([message, msg, Message].filter((text) => typeof text === 'string'))
}

function isEmptyList(name: string, value: unknown): boolean {
  if (!Array.isArray(value)) return true
  if (name !== 'choices') return value.every((one) => one === null || isEmptyObject(one))
  return !objects(value).some(
    ({ message, delta, text }) => isJson(message) || isJson(delta) || typeof text === 'string',
  )
}

/** Responses and messages that a model ended at once have nothing in them, and are answers: they say how they ended. */
function isEmptyMessage(kind: AnswerKind | undefined, given: Json): boolean {
  if (kind === 'responses' && 'output' in given) {
    return !Array.isArray(given['output']) || typeof given['status'] !== 'string'
  }
  return kind === 'anthropic' && 'content' in given && typeof given['stop_reason'] !== 'string'
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')) as unknown
  } catch {
    return undefined
  }
}

/**
 * The data of an event that is no JSON object or list: prose, a page, a bare text or number. As in JSON answers, that is none.
 * @returns its words, `''` where it has none; `undefined` for what may be an answer
 */
export function bareText(data: Uint8Array): string | undefined {
  const text = Buffer.from(data.buffer, data.byteOffset, data.length).toString('utf8').trim()
  if (/^[{[]/.test(text)) return undefined
  if (text.startsWith('<')) return ''
  const value = parse(data)
  return (value === undefined ? messageIn(text) : noAnswerOf(value).message) ?? ''
}

/** Whether there is nothing but blanks. */
export function isBlankText(body: Uint8Array): boolean {
  return body.every(isBlank)
}

/** Media that no protocol of a model's texts has. */
const BINARY = /^(?:audio|image|video|font)\//

const EVENTS = 'text/event-stream'
const BEGINS_AN_EVENT = /^(?:data|event|id|retry)?:/
const BEGINS_A_FIELD = /^(?:d(?:a(?:ta?)?)?|e(?:v(?:e(?:nt?)?)?)?|id?|r(?:e(?:t(?:ry?)?)?)?)$/
const BEGINS_A_LIST = /^\[\s*[[{"\]]/
const WEB_PAGE = /^<(?:!doctype|!--|\?xml|html|head|body|title|center|h\d|p)\b/i

/** Whether the first bytes of a body do not tell yet what it is: an incomplete field name, or a byte order mark. */
export function isUndecided(first: Uint8Array): boolean {
  const text = startOf(first)
  return text === '' || BEGINS_A_FIELD.test(text)
}

/** The first characters that are no blanks and no byte order mark. */
function startOf(first: Uint8Array): string {
  const text = Buffer.from(first.subarray(0, 256)).toString('latin1').trimStart()
  return text.replace(/^(?:\u00ef(?:\u00bb\u00bf?)?)/, '').trimStart()
}

/**
 * The media type of a body by its first bytes: sellers label JSON as events, events as JSON, and anything as text.
 * @param kind the protocol that was asked for: its answers are JSON or events, whatever the label. Of others only what is
 * labelled as JSON, events, text or nothing is looked at
 * @param type what the headers say, lower-case, `''` for nothing
 * @returns `undefined` when the bytes are no answer; `type` itself when nothing better is known
 */
export function typeByBytes(
  kind: AnswerKind | undefined,
  type: string,
  first: Uint8Array,
): string | undefined {
  const text = startOf(first)
  if (text === '') return undefined
  const isLabelledJson = type === 'application/json' || type.endsWith('+json')
  const isText = type === '' || type.startsWith('text/')
  const isOpen = isLabelledJson || isText || (kind !== undefined && !BINARY.test(type))
  if (!isOpen) return type
  if (BEGINS_AN_EVENT.test(text)) return kind !== undefined || isLabelledJson ? EVENTS : type
  if (
    text.startsWith('{') ||
    (BEGINS_A_LIST.test(text) && (isLabelledJson || type === EVENTS || kind !== undefined))
  ) {
    if (isLabelledJson) return type
    const isLines = type.endsWith('ndjson') || type.endsWith('jsonl')
    // Lines of JSON are neither.
    return isLines && (kind === undefined || beginsLines(first)) ? type : 'application/json'
  }
  const isPage = type === 'text/html' || WEB_PAGE.test(text) || (isLabelledJson && text.startsWith('<'))
  return isPage ? undefined : type
}

/**
 * Whether a body is prose where the protocol has JSON or events, such as `Internal Server Error`: clients cannot read it, and
 * would send the request again.
 * @param found its type by {@link typeByBytes}
 */
export function isPlainText(kind: AnswerKind | undefined, found: string, first: Uint8Array): boolean {
  if (kind === undefined || found === EVENTS || !(found === '' || found.startsWith('text/'))) return false
  return !/^[{[]/.test(startOf(first))
}

/** Whether the first line is JSON by itself and no whole answer: then more lines follow. */
function beginsLines(first: Uint8Array): boolean {
  const text = Buffer.from(first.buffer, first.byteOffset, first.length).toString('utf8')
  const line = parseJson(
    text
      .replace(/^\ufeff/, '')
      .trimStart()
      .split('\n', 1)[0] ?? '',
  )
  if (!line) return false
  const isWhole = isJson(line['usage']) || objects(line['choices']).some((choice) => 'message' in choice)
  return (
    !isWhole &&
    !/^(?:chat\.completion|text_completion|response|message)$/.test(String(line['object'] ?? line['type']))
  )
}
