/** Generated answers to a payment: well-formed ones that are damaged in their headers, their body, their events or their end. */
import type { ServerResponse } from 'node:http'
import { completion, receiptV2, RECEIPT } from '../../kit/seller-answers.ts'
import type { Random } from '../crash/random.ts'

/** The protocol of a client. */
export type Protocol = 'chat' | 'messages'

/** A generated answer. */
export interface HostileAnswer {
  /** What was done to it, for the report. */
  readonly faults: readonly string[]
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[]>>
  readonly body: Buffer
  /** The connection is cut behind the body instead of ended. */
  readonly cut: boolean
}

type Change<T> = (value: T, random: Random) => T

const MESSAGE = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'scripted',
  content: [{ type: 'text', text: 'yes' }],
  stop_reason: 'end_turn',
  stop_sequence: null,
  usage: { input_tokens: 1, output_tokens: 1 },
}

const chunk = (delta: object, finish: string | null): object => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'scripted',
  choices: [{ index: 0, delta, finish_reason: finish }],
})

const EVENTS: Readonly<Record<Protocol, readonly object[]>> = {
  chat: [chunk({ role: 'assistant', content: 'y' }, null), chunk({ content: 'es' }, null), chunk({}, 'stop')],
  messages: [
    { type: 'message_start', message: { ...MESSAGE, content: [], stop_reason: null } },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'yes' } },
    { type: 'content_block_stop', index: 0 },
    {
      type: 'message_delta',
      delta: { stop_reason: 'end_turn', stop_sequence: null },
      usage: { output_tokens: 1 },
    },
    { type: 'message_stop' },
  ],
}

/** Values where another kind of value belongs. */
const ODD: readonly [unknown, ...unknown[]] = [
  null,
  0,
  -1,
  1e308,
  '',
  'text',
  true,
  [],
  {},
  [null],
  [[]],
  [{}],
  ['text'],
  { error: { message: 'no' } },
  '\ud800',
]

const TEXT_FAULTS: Readonly<Record<string, Change<Buffer>>> = {
  'cut text': (text, random) => text.subarray(0, random.between(0, text.length - 1)),
  'no number': (text, random) =>
    Buffer.from(
      text
        .toString()
        .replace(/:\d+/, `:${random.pick(['NaN', 'Infinity', '-', '01', '0x1', '1.', 'undefined'])}`),
    ),
  twice: (text, random) => Buffer.concat([text, Buffer.from(random.pick(['', '\n', ',', '\n\n'])), text]),
  'junk behind': (text, random) =>
    Buffer.concat([text, Buffer.from(random.pick(['}', ']', 'x', '\u0000', '<!-- -->']))]),
  'junk before': (text, random) =>
    Buffer.concat([Buffer.from(random.pick([")]}',\n", '{', 'OK\n', '\u0000', '<html>'])), text]),
  'byte order mark': (text) => Buffer.concat([Buffer.from('\uFEFF'), text]),
  'no UTF-8': (text) => Buffer.from(text.toString().replace('yes', '\u00ff'), 'latin1'),
  'single quotes': (text) => Buffer.from(text.toString().replaceAll('"', "'")),
  'trailing comma': (text) => Buffer.from(text.toString().replace(/\}/, ',}')),
  'control characters': (text) => Buffer.from(text.toString().replace('yes', 'y\u0001e\ns')),
  deep: (text) => Buffer.from(text.toString().replace('"yes"', `${'['.repeat(3000)}${']'.repeat(3000)}`)),
  nothing: () => Buffer.alloc(0),
  blanks: () => Buffer.from(' \n '),
  scalar: (_text, random) =>
    Buffer.from(random.pick(['null', 'true', '0', '""', '"yes"', '[]', '[{}]', '{}'])),
  'web page': () => Buffer.from('<!doctype html><html><body>Bad gateway</body></html>'),
}

const HEADER_FAULTS: Readonly<Record<string, Change<Record<string, string | string[]>>>> = {
  'many headers': (headers) => ({
    ...headers,
    ...Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`x-ratelimit-${n}`, 'x'.repeat(60)])),
  }),
  'strange headers': (headers) => ({
    ...headers,
    ...Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`x-strange-${n}`, 'x'.repeat(60)])),
  }),
  'one long header': (headers) => ({ ...headers, 'openai-organization': 'x'.repeat(17_000) }),
  'repeated header': (headers) => ({
    ...headers,
    'anthropic-x': Array.from({ length: 200 }, () => 'x'.repeat(90)),
  }),
  'long type': (headers) => ({
    ...headers,
    'content-type': `${String(headers['content-type'])}; a=${'x'.repeat(12_000)}`,
  }),
  'two types': (headers) => ({ ...headers, 'content-type': [String(headers['content-type']), 'text/html'] }),
  'wrong type': (headers, random) => ({
    ...headers,
    'content-type': random.pick([
      'text/html',
      'text/plain',
      'application/x-ndjson',
      'text/event-stream',
      'application/json',
      'application/octet-stream',
      'x',
      'image/png',
    ]),
  }),
  'no type': ({ 'content-type': _type, ...headers }) => headers,
  'asks to retry': (headers) => ({
    ...headers,
    'x-should-retry': 'true',
    'retry-after': '0',
    'retry-after-ms': '1',
  }),
  coded: (headers, random) => ({
    ...headers,
    'content-encoding': random.pick(['gzip', 'br', 'zstd', 'x', 'identity']),
  }),
  commands: (headers) => ({
    ...headers,
    'x-accel-redirect': '/secret',
    location: '/',
    refresh: '0',
    'set-cookie': 'a=b',
  }),
}

const EVENT_FAULTS: Readonly<Record<string, Change<string[]>>> = {
  'lost event': (events, random) => without(events, random),
  'lost end': (events) => events.slice(0, -1),
  'lost ends': (events) => events.slice(0, -2),
  'error event': (events, random) =>
    insert(
      events,
      random,
      random.pick([
        'data: {"error":{"message":"no","code":500}}\n\n',
        'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"no"}}\n\n',
        'event: error\ndata: no\n\n',
      ]),
    ),
  'strange event': (events, random) =>
    insert(
      events,
      random,
      random.pick([
        'event: x.receipt\ndata: {"a":1}\n\n',
        'data: [1]\n\n',
        'data: null\n\n',
        'data: \n\n',
        ': only a comment\n\n',
        'id: 1\nretry: 1\n\n',
        'data: yes\n\n',
        'data: [DONE]\n\n',
        '\ufeff',
      ]),
    ),
  'broken event': (events, random) => change(events, random, (text) => text.replace(/:\d+/, ':NaN')),
  'cut event': (events, random) =>
    change(events, random, (text) => text.slice(0, random.between(1, text.length))),
  'double event': (events, random) => change(events, random, (text) => text.replace('\n\n', '{}\n\n')),
  CR: (events) => events.map((text) => text.replaceAll('\n', '\r')),
  CRLF: (events) => events.map((text) => text.replaceAll('\n', '\r\n')),
}

/** Draws an answer to a paid request. */
export function drawAnswer(protocol: Protocol, stream: boolean, random: Random): HostileAnswer {
  const faults: string[] = []
  const note = <T>(name: string, value: T): T => {
    faults.push(name)
    return value
  }
  const isStream = random.chance(0.1) ? note('other form', !stream) : stream
  let body = isStream ? drawEvents(protocol, random, note) : drawJson(protocol, random, note)
  if (random.chance(isStream ? 0.2 : 0.5)) body = damage(TEXT_FAULTS, body, random, note)
  let headers: Record<string, string | string[]> = {
    'content-type': isStream ? 'text/event-stream' : 'application/json',
    ...(random.chance(0.8) ? receiptV2(RECEIPT) : note('no receipt', {})),
  }
  if (random.chance(0.4)) headers = damage(HEADER_FAULTS, headers, random, note)
  const length = random.next()
  if (length < 0.08 && body.length > 2) {
    headers['content-length'] = String(note('length too small', random.between(1, body.length - 1)))
  } else if (length < 0.16) headers['content-length'] = String(note('length too large', body.length + 10))
  const status = random.chance(0.9) ? 200 : random.pick([201, 202, 203, 206])
  if (status !== 200) note(`status ${status}`, status)
  const cut = random.chance(0.1)
  if (cut) note('reset', cut)
  return { faults, status, headers, body, cut }
}

/** Sends it. A length that is not true leaves the connection broken behind it. */
export function sendHostile(response: ServerResponse, { status, headers, body, cut }: HostileAnswer): void {
  response.writeHead(status, headers)
  const isShort = Number(headers['content-length'] ?? body.length) > body.length
  if (!cut && !isShort) return void response.end(body)
  response.write(body, () => setImmediate(() => response.destroy()))
}

type Note = <T>(name: string, value: T) => T

function drawJson(protocol: Protocol, random: Random, note: Note): Buffer {
  const value = protocol === 'chat' ? (JSON.parse(completion().body) as object) : structuredClone(MESSAGE)
  if (random.chance(0.5)) replaceMember(value, random, note)
  return Buffer.from(JSON.stringify(value))
}

function drawEvents(protocol: Protocol, random: Random, note: Note): Buffer {
  const objects = structuredClone(EVENTS[protocol]) as object[]
  if (random.chance(0.4)) replaceMember(objects[random.between(0, objects.length - 1)] ?? {}, random, note)
  const events = objects.map((event) => {
    const name = protocol === 'messages' ? `event: ${String((event as { type?: unknown }).type)}\n` : ''
    return `${name}data: ${JSON.stringify(event)}\n\n`
  })
  const whole = protocol === 'chat' ? [...events, 'data: [DONE]\n\n'] : events
  const changed = random.chance(0.6) ? damage(EVENT_FAULTS, whole, random, note) : whole
  return Buffer.from(changed.join(''))
}

function damage<T>(kinds: Readonly<Record<string, Change<T>>>, value: T, random: Random, note: Note): T {
  const all = Object.entries(kinds)
  const found = all[random.between(0, all.length - 1)]
  if (!found) return value
  return note(found[0], found[1](value, random))
}

/** Gives one member, at any depth, another kind of value, or takes it away. */
function replaceMember(value: object, random: Random, note: Note): void {
  const places = placesIn(value, '')
  const place = places[random.between(0, places.length - 1)]
  if (!place) return
  const target = place.holder as Record<string, unknown>
  if (random.chance(0.2)) {
    note(`without ${place.path}`, undefined)
    delete target[place.key]
    return
  }
  const odd = random.pick(ODD)
  note(`${place.path} = ${JSON.stringify(odd)}`, undefined)
  target[place.key] = odd
}

interface PlaceInJson {
  readonly holder: object
  readonly key: string
  readonly path: string
}

function placesIn(holder: object, path: string): PlaceInJson[] {
  return Object.entries(holder).flatMap(([key, value]: [string, unknown]) => {
    const here = { holder, key, path: `${path}.${key}` }
    return typeof value === 'object' && value !== null ? [here, ...placesIn(value, here.path)] : [here]
  })
}

function without(events: readonly string[], random: Random): string[] {
  const at = random.between(0, events.length - 1)
  return events.filter((_event, index) => index !== at)
}

function insert(events: readonly string[], random: Random, event: string): string[] {
  const at = random.between(0, events.length)
  return [...events.slice(0, at), event, ...events.slice(at)]
}

function change(events: readonly string[], random: Random, work: (text: string) => string): string[] {
  const at = random.between(0, events.length - 1)
  return events.map((event, index) => (index === at ? work(event) : event))
}
