/** What a seller claims to have used, against what it can have: every way an answer is relayed. */
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, test } from 'vitest'
import { ask, startWorld, type World } from '../kit/relay-world.ts'

const worlds: World[] = []

afterEach(async () => {
  for (const started of worlds.splice(0)) await started.close()
})

const LIE = { prompt_tokens: 8_000_000_000, completion_tokens: 9_000_000_000, total_tokens: 17_000_000_000 }
const REQUEST = Buffer.from('{"model":"m","messages":[{"role":"user","content":"hi"}]}')
const JSON_ANSWER = JSON.stringify({
  id: 'c1',
  object: 'chat.completion',
  created: 7,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }],
  usage: LIE,
})
const chunk = (rest: object): string =>
  `data: ${JSON.stringify({ id: 'c1', object: 'chat.completion.chunk', created: 7, model: 'm', ...rest })}\n\n`
const STREAM = [
  chunk({ choices: [{ index: 0, delta: { role: 'assistant', content: 'hello' }, finish_reason: null }] }),
  chunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
  chunk({ choices: [], usage: LIE }),
  'data: [DONE]\n\n',
].join('')

const FORMS = { json: JSON_ANSWER, events: STREAM }
const TYPES = { json: 'application/json', events: 'text/event-stream' }

/** @returns what is kept of an answer's counts, and the audit record's note */
async function kept(options: {
  kind: 'paid' | 'unpaid'
  form: 'json' | 'events'
  stream: boolean
  gzip?: boolean
  body?: Buffer
}) {
  const text = Buffer.from(FORMS[options.form])
  const started = await startWorld({
    kind: options.kind,
    exchange: { request: { stream: options.stream, body: options.body ?? REQUEST } },
    seller: (_request, response) => {
      const coding = options.gzip === true ? { 'content-encoding': 'gzip' } : {}
      response.writeHead(200, { 'content-type': TYPES[options.form], ...coding })
      response.end(options.gzip === true ? gzipSync(text) : text)
    },
  })
  worlds.push(started)
  const answer = await ask(started.url)
  const sent = await answer.text()
  const { relay, record } = started.exchange()
  return { usage: relay.usage, note: record.details['claimed_tokens'], sent, bytes: text.length }
}

describe.each(['paid', 'unpaid'] as const)('counts without measure in a %s answer', (kind) => {
  test.each([
    ['JSON', { form: 'json', stream: false }],
    ['a stream', { form: 'events', stream: true }],
    ['JSON for a client that streams', { form: 'json', stream: true }],
    ['a stream for a client that does not', { form: 'events', stream: false }],
    ['compressed JSON', { form: 'json', stream: false, gzip: true }],
    ['a compressed stream', { form: 'events', stream: true, gzip: true }],
  ] as const)('are kept as what can have been sent: %s', async (_name, how) => {
    const { usage, note, bytes } = await kept({ kind, ...how })
    expect(usage?.inputTokens).toBe(REQUEST.length + 32)
    expect(usage?.outputTokens).toBeGreaterThan(0)
    expect(usage?.outputTokens).toBeLessThanOrEqual(bytes)
    expect(note).toBe('8000000000 in, 9000000000 out')
  })

  test('reach the client as the seller wrote them', async () => {
    const { sent } = await kept({ kind, form: 'json', stream: false })
    expect(JSON.parse(sent)).toMatchObject({ usage: LIE })
  })

  test('are kept up to the limit that the request set', async () => {
    const body = Buffer.from('{"model":"m","max_tokens":70000,"n":2,"messages":[]}')
    const { usage } = await kept({ kind, form: 'json', stream: false, body })
    expect(usage?.outputTokens).toBe(140_000)
  })
})
