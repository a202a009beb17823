import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createModel } from '../../src/app/sandbox/model/model.ts'
import type { ModelFault } from '../../src/app/sandbox/model/model.ts'
import { createSellerApp, mountModel, openSeller } from '../../src/app/sandbox/sellers/seller-app.ts'
import type { LocalSeller } from '../../src/app/sandbox/sellers/seller-app.ts'
import { chatRequest } from '../kit/official-client.ts'

const faults: ModelFault[] = []
let server: LocalSeller
let openai: OpenAI
beforeAll(async () => {
  const model = createModel({ clock: { now: () => 1_700_000_000_999 }, faults })
  const app = createSellerApp(model, [])
  mountModel(app, '/v1', model)
  server = await openSeller(app, [], 0, () => {})
  openai = new OpenAI({ baseURL: server.apiBase, apiKey: 'unused', maxRetries: 0 })
})
afterAll(() => server.close())

const messages = [{ role: 'user' as const, content: 'how much?' }]

describe('the sandbox model, read by the official OpenAI client', () => {
  it('gives the same answer to the same request, ids and time included', async () => {
    const ask = () => openai.chat.completions.create({ model: 'sandbox-small', messages })
    const first = await ask()
    expect(await ask()).toEqual(first)
    expect(first.created).toBe(1_700_000_000)
    expect(first.choices[0]?.message.content).toContain('how much?')
    const other = await openai.chat.completions.create({ model: 'sandbox-large', messages })
    expect(other.id).not.toBe(first.id)
  })

  it('streams what it would have said at once, and counts the same tokens', async () => {
    const whole = await openai.chat.completions.create({ model: 'sandbox-small', messages })
    const stream = await openai.chat.completions.create({
      model: 'sandbox-small',
      messages,
      stream: true,
      stream_options: { include_usage: true },
    })
    let text = ''
    const endings: unknown[] = []
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? ''
      endings.push([chunk.choices[0]?.finish_reason ?? null, chunk.usage ?? null])
    }
    expect(text).toBe(whole.choices[0]?.message.content)
    expect(endings.slice(-2)).toEqual([
      ['stop', null],
      [null, whole.usage],
    ])
  })

  it('sends no usage chunk to a client that did not ask for one', async () => {
    const stream = await openai.chat.completions.create({ model: 'sandbox-small', messages, stream: true })
    for await (const chunk of stream) {
      expect(chunk).not.toHaveProperty('usage')
      expect(chunk.choices).toHaveLength(1)
    }
  })

  it('stops at the token limit and says so', async () => {
    const { choices, usage } = await openai.chat.completions.create({
      model: 'sandbox-small',
      messages,
      max_completion_tokens: 3,
    })
    expect(choices[0]?.finish_reason).toBe('length')
    expect(choices[0]?.message.content?.split(' ')).toHaveLength(3)
    expect(usage?.completion_tokens).toBe(3)
  })

  it('completes plain prompts, whole and streamed', async () => {
    const whole = await openai.completions.create({ model: 'sandbox-small', prompt: 'once' })
    const stream = await openai.completions.create({ model: 'sandbox-small', prompt: 'once', stream: true })
    let text = ''
    for await (const chunk of stream) text += chunk.choices[0]?.text ?? ''
    expect(text).toBe(whole.choices[0]?.text)
    expect(text).toContain('once')
  })

  it('embeds each input, the same numbers in both encodings', async () => {
    const input = ['one', 'two']
    const asBase64 = await openai.embeddings.create({ model: 'sandbox-small', input })
    const asNumbers = await openai.embeddings.create({
      model: 'sandbox-small',
      input,
      encoding_format: 'float',
    })
    expect(asBase64.data).toEqual(asNumbers.data)
    expect(asNumbers.data[0]?.embedding).toHaveLength(8)
    expect(asNumbers.data[0]?.embedding).not.toEqual(asNumbers.data[1]?.embedding)
  })

  it('lists its models', async () => {
    const { data } = await openai.models.list()
    expect(data.map(({ id }) => id)).toEqual(['sandbox-small', 'sandbox-large'])
  })

  it('refuses a request without messages with 400 and names the field', async () => {
    await expect(openai.chat.completions.create({ model: 'sandbox-small', messages: [] })).rejects.toThrow(
      /400.*messages/s,
    )
  })

  it('fails once for each fault it is given', async () => {
    faults.push({ status: 503 })
    await expect(openai.chat.completions.create({ model: 'sandbox-small', messages })).rejects.toThrow(/503/)
    await expect(openai.chat.completions.create({ model: 'sandbox-small', messages })).resolves.toBeDefined()
  })

  it('cuts a stream after the given number of chunks', async () => {
    faults.push({ cutAfterChunks: 2 })
    const stream = await openai.chat.completions.create({ model: 'sandbox-small', messages, stream: true })
    let received = 0
    const reading = (async () => {
      for await (const chunk of stream) received += chunk.choices.length
    })()
    await expect(reading).rejects.toThrow()
    expect(received).toBeLessThanOrEqual(2)
  })

  it('stops generating when its reader has left', async () => {
    const left = Promise.withResolvers<void>()
    const leaving = new AbortController()
    const generated: number[] = []
    const model = createModel({
      beforeChunk: async (index) => {
        generated.push(index)
        if (index < 1) return
        leaving.abort()
        await left.promise
      },
    })
    const app = createSellerApp(model, [])
    app.use((_request, response, next) => {
      response.once('close', () => left.resolve())
      next()
    })
    mountModel(app, '/v1', model)
    const own = await openSeller(app, [], 0, () => {})
    try {
      const request = { ...chatRequest('long?', { stream: true }), signal: leaving.signal }
      const reading = fetch(`${own.apiBase}/chat/completions`, request).then((reply) => reply.text())
      await expect(reading).rejects.toThrow(/abort/i)
      await left.promise
      await new Promise(setImmediate)
      expect(generated).toEqual([0, 1])
    } finally {
      await own.close()
    }
  })

  it('leaves no timer behind when it is closed between two slow chunks', async () => {
    const set = vi.spyOn(globalThis, 'setTimeout')
    const cleared = vi.spyOn(globalThis, 'clearTimeout')
    onTestFinished(() => {
      set.mockRestore()
      cleared.mockRestore()
    })
    const model = createModel({ chunkDelayMs: 3_600_000 })
    const app = createSellerApp(model, [])
    mountModel(app, '/v1', model)
    const own = await openSeller(app, [], 0, () => {})
    const reply = await fetch(`${own.apiBase}/chat/completions`, chatRequest('slow?', { stream: true }))
    await own.close()
    await expect(reply.text()).rejects.toThrow()
    const pause = set.mock.results[set.mock.calls.findIndex(([, ms]) => ms === 3_600_000)]
    expect(cleared).toHaveBeenCalledWith(pause?.value)
  })
})
