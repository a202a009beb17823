import { request } from 'node:http'
import { connect } from 'node:net'
import express from 'express'
import * as fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { errorHandler } from '../../middleware/error-handler.ts'
import type { Handler } from '../../middleware/http/handler.ts'
import { readBody } from '../../middleware/read-body.ts'
import { readJsonModel } from '../../middleware/read-body/read-model.ts'
import { bare, codeOf, HOSTS, messageOf, post, raw, send, serve, tellExchange, untyped } from './harness.ts'

const PATH = '/v1/chat/completions'

/** The body that `tellExchange` tells, in base64. */
const bodyOf = (told: Record<string, unknown>): string => untyped<{ body: string }>(told['request']).body

describe.each(HOSTS)('readBody in %s', (_name, host) => {
  it('keeps the bytes as they came and learns model, stream and endpoint', async () => {
    const port = await serve(host(readBody(), tellExchange))
    const body = '{ "n":12345678901234567890,\n "model": "paid/qwen", "stream" : true, "text":"\\u00e9é" }'
    const told = (await post(port, `${PATH}?x=1`, body)).json()
    expect(told).toMatchObject({
      request: { model: 'paid/qwen', stream: true },
      endpoint: '/chat/completions',
    })
    expect(Buffer.from(bodyOf(told), 'base64').toString()).toBe(body)
  })

  it('serves both spellings of a path, and leaves other paths and methods alone', async () => {
    const port = await serve(host(readBody(), tellExchange))
    expect((await post(port, '/embeddings', { model: 'm' })).json()).toMatchObject({
      endpoint: '/embeddings',
    })
    for (const path of ['/v1/files', '/v1/chat/completions/', '/v1/x/../chat/completions']) {
      expect((await post(port, path, 'not json')).json()).toMatchObject({ endpoint: 'other' })
    }
    expect((await send(port, { path: PATH })).json()).not.toHaveProperty('request.body')
  })

  it.each([
    ['{', 'invalid_json'],
    ['', 'invalid_json'],
    ['[]', 'invalid_json'],
    ['"model"', 'invalid_json'],
    ['{"model":"m"} x', 'invalid_json'],
    ['{"model":"m",}', 'invalid_json'],
    ['\uFEFF{"model":"m"}', 'invalid_json'],
    ['{"model":""}', 'model_unreadable'],
    ['{"model":7}', 'model_unreadable'],
    ['{"model":["m"]}', 'model_unreadable'],
    ['{"model":"a\\u0000b"}', 'model_unreadable'],
    [`{"model":"${'m'.repeat(257)}"}`, 'model_unreadable'],
    ['{"model":"cheap","model":"dear"}', 'model_unreadable'],
    ['{"model":"cheap","mod\\u0065l":"dear"}', 'model_unreadable'],
    ['{"model":"cheap","Model":"dear"}', 'model_unreadable'],
    ['{"MODEL":"dear","model":"cheap"}', 'model_unreadable'],
    ['{"Model":"dear"}', 'model_unreadable'],
    [`{"model":${'["m",'.repeat(500)}"m"${']'.repeat(500)}}`, 'model_unreadable'],
    [`{"model":"m","a":${'['.repeat(1000)}${']'.repeat(1000)}}`, 'invalid_json'],
    [`{"model":"m"${',"a":1'.repeat(1000)}}`, 'invalid_json'],
    ['{"model":"m","messages":[{]}', 'invalid_json'],
    ['{"model":"m","n":01}', 'invalid_json'],
  ])('refuses the body %j with %s', async (body, code) => {
    const port = await serve(host(readBody(), tellExchange))
    const answer = await post(port, PATH, body)
    expect(answer.status).toBe(400)
    expect(codeOf(answer)).toBe(code)
  })

  it('refuses a form, plain text, a compressed body and another charset with 415', async () => {
    const port = await serve(host(readBody(), tellExchange))
    const body = '{"model":"m"}'
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'application/jsonp',
      'text/plain;application/json',
    ]) {
      const answer = await post(port, PATH, body, { 'content-type': type })
      expect([answer.status, codeOf(answer)]).toEqual([415, 'unsupported_encoding'])
      expect(messageOf(answer)).toContain('application/json')
    }
    expect((await send(port, { method: 'POST', path: PATH, body })).status).toBe(415)
    expect((await post(port, PATH, body, { 'content-encoding': 'gzip' })).status).toBe(415)
    expect(
      (await post(port, PATH, body, { 'content-type': 'application/json; charset=utf-16' })).status,
    ).toBe(415)
    expect(
      (await post(port, PATH, body, { 'content-type': 'Application/JSON; charset="UTF-8"' })).status,
    ).toBe(200)
    expect((await post(port, PATH, body, { 'content-encoding': 'identity' })).status).toBe(200)
  })

  it('refuses bytes that are not UTF-8, which two parsers would read as two texts', async () => {
    const port = await serve(host(readBody(), tellExchange))
    const body = Buffer.concat([Buffer.from('{"model":"m'), Buffer.from([0xff]), Buffer.from('"}')])
    expect(codeOf(await post(port, PATH, body))).toBe('invalid_json')
  })
})

const head = (length: number, more = ''): string =>
  `POST ${PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n${more}\r\n`

describe('readBody and size', () => {
  it('takes a body of exactly the limit and refuses one byte more, with and without Content-Length', async () => {
    const fitting = `{"model":"m","pad":"${'x'.repeat(100)}"}`
    const port = await serve(bare(readBody({ limit: fitting.length }), tellExchange))
    const chunked = { 'transfer-encoding': 'chunked' }
    expect((await post(port, PATH, fitting)).status).toBe(200)
    expect((await post(port, PATH, fitting, chunked)).status).toBe(200)
    for (const headers of [{}, chunked]) {
      const answer = await post(port, PATH, `${fitting} `, headers)
      expect([answer.status, codeOf(answer)]).toEqual([413, 'request_too_large'])
      expect(messageOf(answer)).toContain(`${fitting.length} bytes`)
    }
  })

  it('lets a client that writes everything first read the 413, on a connection it can use again', async () => {
    const port = await serve(bare(readBody({ limit: 100_000 }), tellExchange))
    const body = 'x'.repeat(150_000)
    const answer = await raw(
      port,
      `${head(body.length)}${body}${head(13, 'Connection: close\r\n')}{"model":"m"}`,
    )
    expect(answer.match(/HTTP\/1\.1 \d{3}/g)).toEqual(['HTTP/1.1 413', 'HTTP/1.1 200'])
  })

  it('answers 413 by Content-Length alone, before a byte of the body has come', async () => {
    const port = await serve(bare(readBody({ limit: 1000 }), tellExchange))
    const answer = await new Promise<string>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(head(1001)))
      socket.once('data', (chunk) => {
        socket.destroy()
        resolve(chunk.toString('latin1'))
      })
    })
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
  })

  it('cuts a client that goes on sending far over the limit', async () => {
    const port = await serve(bare(readBody({ limit: 1000 }), tellExchange))
    const socket = connect(port, '127.0.0.1')
    socket.write(
      `POST ${PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`,
    )
    const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`
    socket.on('error', () => undefined)
    const pump = setInterval(() => socket.write(chunk), 1)
    await new Promise((resolve) => socket.on('close', resolve))
    clearInterval(pump)
    expect(socket.destroyed).toBe(true)
  })

  it('reads limits as bytes or as text, and tells what it wants otherwise', async () => {
    const port = await serve(bare(readBody({ limit: '1kb' }), tellExchange))
    expect((await post(port, PATH, { model: 'm', pad: 'x'.repeat(2000) })).status).toBe(413)
    for (const limit of ['lots', -1, 0, 1.5])
      expect(() => readBody({ limit })).toThrow(/limit: give a number of bytes/)
    expect(() => readBody(untyped({ limits: 1 }))).toThrow('Did you mean "limit"?')
  })
})

describe('readBody and its neighbours', () => {
  it('runs nothing further when the client leaves before the body is whole', async () => {
    let ran = 0
    const arrived = Promise.withResolvers<void>()
    const gone = Promise.withResolvers<void>()
    const watch: Handler = (req, res, next) => {
      res.on('close', () => gone.resolve())
      next()
      req.once('data', () => arrived.resolve())
    }
    const count: Handler = (_req, res) => {
      ran += 1
      res.end()
    }
    const port = await serve(bare(watch, readBody(), count))
    const req = request({
      port,
      host: '127.0.0.1',
      method: 'POST',
      path: PATH,
      headers: { 'content-type': 'application/json', 'content-length': '100' },
    })
    req.on('error', () => undefined)
    // Whole JSON, but not the whole body: what has come must not be taken for all there is.
    req.write('{"model":"m"}')
    await arrived.promise
    req.destroy()
    await gone.promise
    await new Promise((resolve) => setImmediate(resolve))
    expect(ran).toBe(0)
    expect((await post(port, PATH, { model: 'm' })).status).toBe(200)
    expect(ran).toBe(1)
  })

  it('answers a body of no bytes that ended while a handler before was busy', async () => {
    const busy: Handler = (_req, _res, next) => {
      void (async () => {
        for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
        next()
      })()
    }
    const port = await serve(bare(busy, readBody(), tellExchange))
    const answer = await post(port, PATH, '')
    expect([answer.status, codeOf(answer)]).toEqual([400, 'invalid_json'])
  })

  it('says where to mount it when a body parser came first', async () => {
    const faults: unknown[] = []
    const app = express()
    app.use(express.json())
    app.use(readBody())
    app.use(errorHandler({ log: { error: ({ err }) => void faults.push(err), warn: () => undefined } }))
    const answer = await post(await serve(app), PATH, { model: 'm' })
    expect([answer.status, codeOf(answer)]).toEqual([500, 'setup_error'])
    expect(messageOf(answer)).toContain('Mount readBody() before express.json()')
    expect(String(faults[0])).toContain('readBody({ parsedBody: true })')
  })

  it('reads once when it is mounted twice, and under a prefix', async () => {
    const app = express()
    app.use('/ai', readBody(), readBody(), tellExchange)
    expect((await post(await serve(app), `/ai${PATH}`, { model: 'm' })).json()).toMatchObject({
      request: { model: 'm' },
    })
  })
})

const field = (name: string, value: string): string =>
  `--X\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`

const file = (name: string): string =>
  `--X\r\nContent-Disposition: form-data; name="${name}"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n\x00\x01\r\n`

describe('readBody and multipart', () => {
  const type = 'multipart/form-data; boundary=X'
  const path = '/v1/audio/transcriptions'

  it('reads the model field and keeps the bytes', async () => {
    const port = await serve(bare(readBody(), tellExchange))
    const body = `${file('file')}${field('model', 'whisper-1')}${field('stream', 'true')}--X--\r\n`
    const told = (await post(port, path, body, { 'content-type': type })).json()
    expect(told).toMatchObject({
      request: { model: 'whisper-1', stream: true },
      endpoint: '/audio/transcriptions',
    })
    expect(Buffer.from(bodyOf(told), 'base64').toString()).toBe(body)
  })

  it.each([
    ['two models', `${field('model', 'a')}${field('model', 'b')}--X--\r\n`],
    ['the model as a file', `${file('model')}--X--\r\n`],
    ['a model field and a model file', `${field('model', 'a')}${file('model')}--X--\r\n`],
    ['an empty model', `${field('model', '')}--X--\r\n`],
    ['no end', field('model', 'a')],
    ['no parts', 'junk'],
    ['nothing', ''],
    ['two models that differ in case', `${field('model', 'a')}${field('Model', 'b')}--X--\r\n`],
    ['a model in capitals only', `${field('MODEL', 'a')}--X--\r\n`],
    ['a file without an end', file('file')],
    ['a file without an end behind a model', `${field('model', 'a')}${file('file').slice(0, -4)}`],
    ['1,001 parts', `${field('model', 'a')}${field('x', '').repeat(1000)}--X--\r\n`],
  ])('refuses a form with %s', async (_name, body) => {
    const port = await serve(bare(readBody(), tellExchange))
    const answer = await post(port, path, body, { 'content-type': type })
    expect([answer.status, codeOf(answer)]).toEqual([400, 'model_unreadable'])
  })

  it('answers a form that is cut anywhere with 400, and lives on', async () => {
    const port = await serve(bare(readBody(), tellExchange))
    const whole = `${field('model', 'a')}${file('file')}${field('stream', 'true')}--X--\r\n`
    const statuses = new Map<number, number>()
    for (let end = 0; end <= whole.length; end++) {
      statuses.set(end, (await post(port, path, whole.slice(0, end), { 'content-type': type })).status)
    }
    // The two hyphens of the last boundary end it; the line end behind them is not needed.
    const taken = [...statuses].filter(([, status]) => status !== 400)
    expect(taken).toEqual([-2, -1, 0].map((from) => [whole.length + from, 200]))
  })

  it('refuses a form without a boundary', async () => {
    const port = await serve(bare(readBody(), tellExchange))
    const answer = await post(port, path, field('model', 'a'), { 'content-type': 'multipart/form-data' })
    expect([answer.status, codeOf(answer)]).toEqual([400, 'model_unreadable'])
  })
})

describe('readJsonModel', () => {
  it.each([
    [
      'too many fields',
      `{"model":"m"${',"a":1'.repeat(1000)}}`,
      /more than 1000 fields\. Send the fields of the API/,
    ],
    ['values too deep', `{"model":"m","a":${'['.repeat(1000)}${']'.repeat(1000)}}`, /more than 1000 deep/],
    ['the model twice', '{"model":"m","Model":"n"}', /upper and lower case.*Name the model once/],
  ])('says what to do about %s', (_case, text, words) => {
    expect(() => readJsonModel(Buffer.from(text))).toThrow(words)
  })

  it('takes 1,000 fields, 1,000 levels and a long conversation', () => {
    const fields = `{"model":"m"${',"a":1'.repeat(999)}}`
    const levels = `{"model":"m","a":${'['.repeat(999)}${']'.repeat(999)}}`
    const messages = JSON.stringify({
      model: 'm',
      messages: Array.from({ length: 20_000 }, () => ({ role: 'user', content: 'é' })),
    })
    for (const text of [fields, levels, messages]) expect(readJsonModel(Buffer.from(text)).model).toBe('m')
  })

  it.each([
    ['short fields', () => `{${'"a":1,'.repeat(750_000)}"model":"m"}`],
    ['nested lists', () => `{"model":"m","a":${'['.repeat(2_250_000)}${']'.repeat(2_250_000)}}`],
    ['short lists', () => `{"model":"m","a":[${'[],'.repeat(1_500_000)}[]]}`],
    ['lists for a model', () => `{"model":[${'[],'.repeat(1_500_000)}[]]}`],
  ])('builds no values of a body full of %s', (_case, make) => {
    const body = Buffer.from(make())
    const memory = process.memoryUsage.rss()
    const parsed = vi.spyOn(JSON, 'parse')
    try {
      readJsonModel(body)
    } catch {
      // Taken or refused: what counts is what it costs.
    }
    const longest = Math.max(0, ...parsed.mock.calls.map(([text]) => text.length))
    parsed.mockRestore()
    // JSON.parse of a body of 4.5 MB takes up to a second, and 250 MB.
    expect(longest).toBeLessThan(1000)
    expect(process.memoryUsage.rss() - memory).toBeLessThan(150e6)
  })

  it('reads the same model as JSON.parse from every object that has one', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.stringMatching(/^[\x20-\x7e]{1,40}$/),
        (fields, model) => {
          const text = JSON.stringify({ ...fields, model })
          expect(readJsonModel(Buffer.from(text)).model).toBe(
            untyped<{ model: string }>(JSON.parse(text)).model,
          )
        },
      ),
    )
  })
})
