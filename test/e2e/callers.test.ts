/** Caller keys from a file that changes while the gateway runs, and the limits that go with them. */
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { commandAuditPath } from '../../src/app/wiring/audit-files.ts'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { send } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { type ScriptedSeller } from '../kit/scripted-seller.ts'

let upstream: ScriptedSeller
let tollway: TestGateway
let keysPath: string
let now = Date.now()
const gates: (() => void)[] = []

const USAGE = JSON.stringify({ usage: { prompt_tokens: 60, completion_tokens: 40, total_tokens: 100 } })

beforeAll(async () => {
  process.env['FIXED_CALLER'] = 'fixed-caller-key'
  upstream = await startScriptedSeller((request, response) => {
    if (request.body.includes('wait')) {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': open\n\n')
      gates.push(() => response.end(`data: ${USAGE}\n\n`))
    } else if (request.body.includes('gzip')) {
      const isStream = request.body.includes('"stream":true')
      response
        .writeHead(200, {
          'content-type': isStream ? 'text/event-stream' : 'application/json',
          'content-encoding': 'gzip',
        })
        .end(gzipSync(isStream ? `data: ${USAGE}\n\ndata: [DONE]\n\n` : USAGE))
    } else if (request.body.includes('"stream":true')) {
      response
        .writeHead(200, { 'content-type': 'text/event-stream' })
        .end(`data: ${USAGE}\n\ndata: [DONE]\n\n`)
    } else {
      const headers = { 'content-type': 'application/json', 'x-ratelimit-remaining-requests': '4999' }
      send(response, { status: 200, headers, body: USAGE })
    }
  })
  const config = {
    callers: [{ id: 'fixed', key: '${env:FIXED_CALLER}', requests_per_minute: 2 }],
    model_list: [
      { model_name: 'm', api_base: upstream.apiBase },
      { model_name: 'other', api_base: upstream.apiBase },
    ],
  }
  // The file is beside the store, whose directory is known once the gateway runs.
  const probe = await startGateway(config)
  await probe.close()
  keysPath = `${probe.directory}-keys.json`
  tollway = await startGateway({ ...config, keys: { path: keysPath } }, { clock: { now: () => now } })
  const { store, audit } = tollway.gateway.parts.config
  await writeFile(
    join(tollway.directory, 'tollway.yaml'),
    JSON.stringify({ ...config, keys: { path: keysPath }, store, audit: { path: audit.path } }),
  )
})

afterAll(async () => {
  await tollway?.close()
  await upstream?.close()
})

async function keys(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const terminal = new FakeTerminal({ FIXED_CALLER: 'fixed-caller-key' })
  const code = await run(['keys', ...args, '--config', join(tollway.directory, 'tollway.yaml')], terminal)
  // The gateway looks at the file every half second.
  now += 500
  return { code, out: terminal.out, err: terminal.err }
}

async function made(id: string, ...args: string[]): Promise<string> {
  const { out } = await keys('add', id, '--json', ...args)
  return (JSON.parse(out) as { key: string }).key
}

const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` })

describe('tollway keys', () => {
  test('makes a key that works at once, shows it once, and keeps its digest only', async () => {
    const { code, out } = await keys('add', 'openclaw', '--models', 'm')
    const key = /^(tw-[\w-]{43})\n/.exec(out)?.[1] ?? ''
    expect(code).toBe(0)
    expect((await ask(tollway.url, { model: 'm' }, bearer(key))).status).toBe(200)
    expect((await ask(tollway.url, { model: 'other' }, bearer(key))).status).toBe(404)
    const text = await readFile(keysPath, 'utf8')
    expect(text).not.toContain(key)
    expect(((await stat(keysPath)).mode & 0o777).toString(8)).toBe('600')
    const listed = await keys('list')
    expect(listed.out).toContain('openclaw')
    expect(listed.out).not.toContain(key)
    const models = (await (await fetch(`${tollway.url}/v1/models`, { headers: bearer(key) })).json()) as {
      data: { id: string }[]
    }
    expect(models.data.map(({ id }) => id)).toEqual(['m'])
  })

  test('takes one away at once, on record', async () => {
    const key = await made('gone')
    expect((await ask(tollway.url, { model: 'm' }, bearer(key))).status).toBe(200)
    expect((await keys('revoke', 'gone')).code).toBe(0)
    const answer = await ask(tollway.url, { model: 'm' }, bearer(key))
    expect([answer.status, (await errorOf(answer)).code]).toEqual([401, 'invalid_api_key'])
    const path = commandAuditPath(tollway.gateway.parts.config.audit.path)
    const record = await readFile(path, 'utf8')
    expect(record).toContain('"caller_key.added"')
    expect(record).toContain('"caller_key.revoked"')
    expect(record).not.toContain(key)
    expect((await verifyAudit(path)).ok).toBe(true)
  })

  test('ends one at its time', async () => {
    const key = await made('short', '--expires', new Date(now + 10_000).toISOString())
    expect((await ask(tollway.url, { model: 'm' }, bearer(key))).status).toBe(200)
    now += 10_000
    const answer = await ask(tollway.url, { model: 'm' }, bearer(key))
    expect([answer.status, (await errorOf(answer)).message]).toEqual([
      401,
      'This caller key has expired. Ask for a new one.',
    ])
  })

  test('explains what it does not do', async () => {
    await made('twice')
    expect((await keys('add', 'twice')).err).toContain('"twice" already has a key')
    expect((await keys('add', 'fixed')).err).toContain('is already a caller in the configuration file')
    expect((await keys('add', 'a b')).err).toContain("cannot be a caller's id")
    expect((await keys('add', 'late', '--expires', '2020-01-01')).err).toContain('expiry date is in the past')
    expect((await keys('revoke', 'nobody')).err).toContain('unknown caller "nobody"')
    expect((await keys('revoke', 'fixed')).err).toContain('Remove it there.')
    expect((await keys('add', 'x', '--expires', 'soon')).code).toBe(2)
  })

  test('that leave a broken file leave the keys as they were', async () => {
    const key = await made('steady')
    expect((await ask(tollway.url, { model: 'm' }, bearer(key))).status).toBe(200)
    const before = await readFile(keysPath, 'utf8')
    await writeFile(keysPath, '{ "version": 1, "keys": [')
    now += 500
    expect((await ask(tollway.url, { model: 'm' }, bearer(key))).status).toBe(200)
    expect((await ask(tollway.url, { model: 'm' }, bearer('guess'))).status).toBe(401)
    await writeFile(keysPath, before)
    now += 500
    expect((await ask(tollway.url, { model: 'm' }, bearer(key))).status).toBe(200)
  })
})

test('without any key in the file everybody is refused, and nobody is anonymous', async () => {
  const empty = await startGateway({
    keys: { path: `${keysPath}.none` },
    model_list: [{ model_name: 'm', api_base: upstream.apiBase }],
  })
  try {
    expect((await ask(empty.url, { model: 'm' })).status).toBe(401)
  } finally {
    await empty.close()
  }
})

describe('limits of a caller', () => {
  test('on requests a minute: headers count down, then 429 with a pause, and nothing is sent', async () => {
    const fixed = bearer('fixed-caller-key')
    const left: (string | null)[] = []
    const theirs: (string | null)[] = []
    for (let at = 0; at < 2; at++) {
      const answer = await ask(tollway.url, { model: 'm' }, fixed)
      left.push(answer.headers.get('x-ratelimit-remaining-requests'))
      theirs.push(answer.headers.get('llm_provider-x-ratelimit-remaining-requests'))
    }
    expect(left).toEqual(['1', '0'])
    expect(theirs).toEqual(['4999', '4999'])
    upstream.requests.length = 0
    const refused = await ask(tollway.url, { model: 'm' }, fixed)
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(60)
    expect(refused.headers.get('x-ratelimit-limit-requests')).toBe('2')
    expect(refused.headers.get('x-ratelimit-reset-requests')).toMatch(/^\d+s$/)
    expect(refused.headers.get('x-should-retry')).toBeNull()
    expect(refused.headers.get('x-tollway-spent')).toBe('no')
    expect(await errorOf(refused)).toMatchObject({ type: 'rate_limit_error', code: 'rate_limit_exceeded' })
    expect(upstream.requests).toEqual([])
    expect(await tollway.metric('tollway_rate_limited_total', { caller: 'fixed', limit: 'requests' })).toBe(1)
    // Lists are no model requests.
    expect((await fetch(`${tollway.url}/v1/models`, { headers: fixed })).status).toBe(200)
  })

  test("that has none of ours hears the upstream's own limits as they are", async () => {
    const answer = await ask(tollway.url, { model: 'm' }, bearer(await made('unlimited')))
    expect(answer.headers.get('x-ratelimit-remaining-requests')).toBe('4999')
  })

  test("in Anthropic's words on its own endpoint", async () => {
    const answer = await fetch(`${tollway.url}/v1/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': 'fixed-caller-key' },
      body: '{"model":"m"}',
    })
    expect(answer.status).toBe(429)
    expect(await answer.json()).toMatchObject({ type: 'error', error: { type: 'rate_limit_error' } })
  })

  test('on tokens a minute count what was answered', async () => {
    const key = bearer(await made('tokens', '--tokens-per-minute', '150'))
    const first = await ask(tollway.url, { model: 'm', stream: true }, key)
    expect(first.headers.get('x-ratelimit-remaining-tokens')).toBe('150')
    await first.text()
    const second = await ask(tollway.url, { model: 'm', stream: true }, key)
    expect(second.headers.get('x-ratelimit-remaining-tokens')).toBe('50')
    await second.text()
    const third = await ask(tollway.url, { model: 'm', stream: true }, key)
    expect([third.status, (await errorOf(third)).message]).toEqual([
      429,
      expect.stringContaining('150 tokens a minute'),
    ])
  })

  test.each([
    ['JSON', {}],
    ['compressed JSON', { user: 'gzip' }],
    ['a compressed stream', { user: 'gzip', stream: true }],
  ])('on tokens a minute count what was answered as %s', async (name, body) => {
    const key = bearer(await made(name.replaceAll(' ', '-'), '--tokens-per-minute', '150'))
    const left: (string | null)[] = []
    for (let at = 0; at < 2; at++) {
      const answer = await ask(tollway.url, { model: 'm', ...body }, key)
      left.push(answer.headers.get('x-ratelimit-remaining-tokens'))
      expect(await answer.text()).toContain(USAGE)
    }
    expect(left).toEqual(['150', '50'])
    expect((await ask(tollway.url, { model: 'm', ...body }, key)).status).toBe(429)
  })

  test('on requests at once let the next one in when one ends', async () => {
    const key = bearer(await made('narrow', '--max-parallel', '1'))
    const first = await ask(tollway.url, { model: 'm', user: 'wait' }, key)
    const second = await ask(tollway.url, { model: 'm' }, key)
    expect([second.status, second.headers.get('retry-after')]).toEqual([429, '1'])
    gates.splice(0).forEach((go) => go())
    await first.text()
    await expect.poll(async () => (await ask(tollway.url, { model: 'm' }, key)).status).toBe(200)
  })
})
