/** What a seller can send to keep a gateway busy. */
import { gzipSync } from 'node:zlib'

/** One kind of answer. */
export interface FloodInput {
  /** The endpoint that the client asks; default `/chat/completions`. */
  readonly path?: string
  /** Whether the client asked for a stream. */
  readonly stream: boolean
  readonly status?: number
  readonly type: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body: () => Buffer
  /** Sends the body in pieces of so many bytes, one write each; by default all at once. */
  readonly pieces?: number
  /** Sends it instead of the price: the answer to the question, unpaid. */
  readonly isQuestion?: boolean
}

const MIB = 1_048_576
const EVENTS = 'text/event-stream'
const JSON_TYPE = 'application/json'

const chunk = (content: string): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`
const answer = (content: string, more: object = {}): string =>
  JSON.stringify({ choices: [{ index: 0, message: { content }, finish_reason: 'stop' }], ...more })
/** An answer with one more member, as text: some are no value that `JSON.stringify` could write. */
const answerWith = (member: string): Buffer => Buffer.from(answer('a').replace(/}$/, `,${member}}`))
const many = (text: string, bytes: number): string => text.repeat(Math.floor(bytes / text.length))
const letters = (bytes: number): string => 'a'.repeat(bytes)
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
/** Text that compresses to about a fiftieth: more is cut as a bomb. */
const dull = (bytes: number): string =>
  many('The quick brown fox jumps over the lazy dog. 0123456789. ', bytes)

/** A call whose arguments come in pieces of 1,000 characters. */
const toolStream = (bytes: number): string => {
  const event = (data: { readonly type: string; readonly [name: string]: unknown }): string =>
    `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`
  const piece = (text: string): string =>
    event({ type: 'content_block_delta', index: 0, delta: { type: 'input_json_delta', partial_json: text } })
  const block = { type: 'tool_use', id: 't', name: 'f', input: {} }
  return [
    event({ type: 'message_start', message: { id: 'm', role: 'assistant', content: [], usage: {} } }),
    event({ type: 'content_block_start', index: 0, content_block: block }),
    piece('{"x":"'),
    many(piece(letters(1000)), bytes),
    piece('"}'),
    event({ type: 'content_block_stop', index: 0 }),
    event({ type: 'message_delta', delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 1 } }),
    event({ type: 'message_stop' }),
  ].join('')
}

const stream = (text: () => string, more: Partial<FloodInput> = {}): FloodInput => ({
  stream: true,
  type: EVENTS,
  body: () => Buffer.from(text()),
  ...more,
})
const json = (body: () => string | Buffer, more: Partial<FloodInput> = {}): FloodInput => ({
  stream: false,
  type: JSON_TYPE,
  body: () => Buffer.from(body()),
  ...more,
})
const asStream = { stream: true }

export const FLOODS: Readonly<Record<string, FloodInput>> = {
  'tiny events, 4 MiB': stream(() => chunk('a') + many('data:1\n\n', 4 * MIB)),
  'empty lines, 4 MiB': stream(() => chunk('a') + many('\n', 4 * MIB)),
  'comments, 4 MiB': stream(() => chunk('a') + many(':\n', 4 * MIB)),
  'one event of many lines, 4 MiB': stream(() => chunk('a') + many('data:1\n', 4 * MIB)),
  'events of a chat, 4 MiB': stream(() => many(chunk('a'), 4 * MIB)),
  'events of a chat, 4 MiB, as JSON': stream(() => many(chunk('a'), 4 * MIB), { stream: false }),
  'events of a chat, a byte at a time': stream(() => many(chunk('a'), 20_000), { pieces: 1 }),
  'one event, 8 MiB': stream(() => chunk(letters(8 * MIB))),
  'one event, 8 MiB, as JSON': stream(() => chunk(letters(8 * MIB)), { stream: false }),
  'one event, 31 MiB, as JSON': stream(() => chunk(letters(31 * MIB)), { stream: false }),
  'one event, escapes, 31 MiB, as JSON': stream(() => chunk(many('"', 15 * MIB)), { stream: false }),
  'one event of a million lists, as JSON': stream(
    () => `data: {"choices":[{"index":0,"delta":{"x":[${many('[],', 3 * MIB)}1]}}]}\n\n`,
    { stream: false },
  ),
  'events of 80,000 objects, 4 MiB, as JSON': stream(
    () => many(`data: {"choices":[{"index":0,"delta":{"x":[${many('{},', 240_000)}1]}}]}\n\n`, 4 * MIB),
    { stream: false },
  ),
  'events of 10,000 members, 4 MiB, as JSON': stream(
    () => {
      const members = Array.from({ length: 10_000 }, (_, at) => `"m${at}":"a"`).join()
      return many(`data: {"choices":[{"index":0,"delta":{${members}}}]}\n\n`, 4 * MIB)
    },
    { stream: false },
  ),
  'a tool call of Anthropic, 8 MiB, as JSON': stream(() => toolStream(8 * MIB), {
    stream: false,
    path: '/messages',
  }),
  'one event, 8 MiB of escapes': stream(() => chunk(many('"', 4 * MIB))),
  'events of 250 kB, 8 MiB': stream(() => many(chunk(letters(250_000)), 8 * MIB)),
  'events of 100,000 values': stream(() =>
    many(
      `data: {"choices":[{"index":0,"delta":{"content":"a"}}],"x":[${many('1,', 200_000)}1]}\n\n`,
      4 * MIB,
    ),
  ),
  'events of responses, 4 MiB, as JSON': stream(
    () =>
      many(
        `event: response.output_text.delta\ndata: ${JSON.stringify({ type: 'response.output_text.delta', item_id: 'm', output_index: 0, content_index: 0, delta: 'a' })}\n\n`,
        4 * MIB,
      ),
    { stream: false, path: '/responses' },
  ),
  'JSON, one text of 8 MiB': json(() => answer(letters(8 * MIB - 200))),
  'JSON, escapes, 8 MiB': json(() => answer(many('"', 4 * MIB - 200))),
  'JSON, blanks, 8 MiB': json(() => answer('a') + many(' ', 8 * MIB - 200)),
  'JSON, one name of 8 MiB': json(() => answerWith(`"${letters(8 * MIB - 200)}":1`)),
  'JSON, a million lists': json(() => answerWith(`"x":[${'[],'.repeat(1_000_000)}1]`)),
  'JSON, a thousand members of 8 kB': json(() =>
    answerWith(Array.from({ length: 990 }, (_, at) => `"m${at}":"${letters(8000)}"`).join()),
  ),
  'JSON, nested 500 deep, 8 MiB': json(() => answerWith(`"x":[${many(`${nested(500)},`, 8 * MIB)}1]`)),
  'JSON, nested a million deep': json(() => answerWith(`"x":${nested(1_000_000)}`)),
  'JSON, numbers, 8 MiB': json(() => answerWith(`"x":[${many('1,', 8 * MIB - 200)}1]`)),
  'JSON of 32 MiB': json(() => answer(letters(32 * MIB))),
  'JSON, a byte at a time': json(() => answer(letters(20_000)), { pieces: 1 }),
  'JSON of 8 MiB as a stream': json(() => answer(letters(8 * MIB - 200)), asStream),
  'JSON, escapes, 8 MiB, as a stream': json(() => answer(many('"', 4 * MIB - 200)), asStream),
  'JSON, not ASCII, 8 MiB, as a stream': json(() => answer(many('\u{1f600}é', 8 * MIB)), asStream),
  'JSON of 99,000 values as a stream': json(
    () => answer('a', { x: Array.from({ length: 98_000 }, (_, at) => at) }),
    asStream,
  ),
  'JSON of 99,000 texts, 24 MiB, as a stream': json(
    () => answer('a', { x: Array.from({ length: 98_000 }, () => letters(256)) }),
    asStream,
  ),
  'JSON of 1,000 choices, 8 MiB, as a stream': json(
    () =>
      JSON.stringify({
        choices: Array.from({ length: 1000 }, (_, index) => ({
          index,
          message: { content: letters(8000) },
          finish_reason: 'stop',
        })),
      }),
    asStream,
  ),
  'JSON of 32 MiB as a stream': json(() => answer(letters(32 * MIB - 200)), asStream),
  'JSON of responses, 8 MiB, as a stream': json(
    () =>
      JSON.stringify({
        id: 'r',
        object: 'response',
        status: 'completed',
        output: [
          {
            type: 'message',
            id: 'm',
            role: 'assistant',
            content: [{ type: 'output_text', text: letters(8 * MIB), annotations: [] }],
          },
        ],
      }),
    { ...asStream, path: '/responses' },
  ),
  'JSON of Anthropic, 8 MiB, as a stream': json(
    () =>
      JSON.stringify({
        id: 'm',
        type: 'message',
        role: 'assistant',
        content: [{ type: 'text', text: letters(8 * MIB) }],
        stop_reason: 'end_turn',
        usage: { input_tokens: 1, output_tokens: 1 },
      }),
    { ...asStream, path: '/messages' },
  ),
  'a tool call of Anthropic, 8 MiB, as a stream': json(
    () =>
      JSON.stringify({
        id: 'm',
        type: 'message',
        role: 'assistant',
        content: [{ type: 'tool_use', id: 't', name: 'f', input: { x: letters(8 * MIB) } }],
        stop_reason: 'tool_use',
        usage: { input_tokens: 1, output_tokens: 1 },
      }),
    { ...asStream, path: '/messages' },
  ),
  'JSON, compressed, 8 MiB': json(() => gzipSync(answer(dull(8 * MIB - 200))), {
    headers: { 'content-encoding': 'gzip' },
  }),
  'events, compressed, 4 MiB': stream(() => '', {
    body: () => gzipSync(many(chunk('The quick brown fox'), 4 * MIB)),
    headers: { 'content-encoding': 'gzip' },
  }),
  'a bomb': json(() => gzipSync(Buffer.alloc(64 * MIB, 'a')), { headers: { 'content-encoding': 'gzip' } }),
  'embeddings, 8 MiB': json(
    () =>
      JSON.stringify({
        data: Array.from({ length: 400 }, (_, index) => ({
          index,
          embedding: Array.from({ length: 1024 }, () => 0.0123456789),
        })),
      }),
    { path: '/embeddings' },
  ),
  'headers, 16 kB': json(() => answer('a'), {
    headers: Object.fromEntries(Array.from({ length: 400 }, (_, at) => [`x-h${at}`, letters(28)])),
  }),
  'an error of 8 MiB': json(() => JSON.stringify({ error: { message: letters(8 * MIB) } }), { status: 500 }),
  'a success that is an error of 8 MiB': json(() => JSON.stringify({ error: { message: letters(8 * MIB) } })),
  'a price of 8 MiB': json(() => JSON.stringify({ x402Version: 1, accepts: [], error: letters(8 * MIB) }), {
    status: 402,
    isQuestion: true,
  }),
  'an unpaid answer of 8 MiB': json(() => answer(letters(8 * MIB)), { isQuestion: true }),
  'an unpaid stream, tiny events, 4 MiB': stream(() => chunk('a') + many('data:1\n\n', 4 * MIB), {
    isQuestion: true,
  }),
}
