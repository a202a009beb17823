import { describe, expect, test } from 'vitest'
import { createLogger, redactor, secretsOf } from '../../src/app/logging/logger.ts'
import { requestContexts } from '../../src/app/logging/request-context.ts'
import { loadConfig } from '../../src/app/config/load.ts'
import { configFile } from '../config/config-file.ts'

function logging(changes: Partial<Parameters<typeof createLogger>[0]> = {}) {
  const lines: string[] = []
  const log = createLogger({
    level: 'trace',
    format: 'json',
    write: (line) => void lines.push(line),
    ...changes,
  })
  return { log, lines }
}

describe('what a line must not hold', () => {
  const signature = `0x${'ab'.repeat(65)}`
  const payload = `eyJ${'A1b2'.repeat(40)}`
  const rpcKey = 'rpc/secret+4242'

  test('is taken out wherever it stands: in fields, words, errors and their causes', () => {
    const { log, lines } = logging({ secrets: [rpcKey] })
    const error = Object.assign(new Error(`refused ${signature}`, { cause: new Error(`at ${rpcKey}`) }), {
      request: { headers: { authorization: 'Bearer hidden-one' } },
      code: 'EREFUSED',
    })
    log.error({ err: error }, `sent ${payload} to https://user:pass@host/x`)
    log.trace({
      authorization: 'hidden-two',
      headers: { 'x-payment': 'hidden-three', 'Set-Cookie': 'hidden-four' },
    })
    log.info(`Authorization: Bearer hidden-five and ${rpcKey}`)
    log.info({ nested: [{ deep: { signature: 'hidden-six', private_key: 'hidden-"seven' } }] })
    const all = lines.join('')
    for (const secret of [signature, signature.slice(2), payload, rpcKey, 'user:pass', 'hidden']) {
      expect(all).not.toContain(secret)
    }
    expect(all).toContain('EREFUSED')
    for (const line of lines) expect(() => JSON.parse(line) as unknown).not.toThrow()
  })

  test('is taken out of a text that is JSON itself, however deep', () => {
    const { log, lines } = logging()
    const answer = JSON.stringify({
      api_key: 'hidden-one',
      nested: JSON.stringify({ password: 'hidden-two' }),
    })
    log.warn({ answer }, `the seller said ${answer}`)
    expect(lines.join('')).not.toContain('hidden')
    expect(() => JSON.parse(lines[0] ?? '') as unknown).not.toThrow()
  })

  test('the key of a node is known in each form, also named alone', () => {
    const rpc = 'https://node.example/v2/path-key-of-a-node?x=1&apikey=query-key'
    const none = { upstream: undefined, routes: [], audit: { path: '/a' }, notify: undefined }
    const chains = new Map([['eip155:1', { rpc, finality: 'finalized' as const }]])
    const clean = redactor(secretsOf({ ...none, chains }))
    expect(clean('invalid key query-key, path-key-of-a-node of x=1')).toBe(
      'invalid key [redacted], [redacted] of x=1',
    )
  })

  test('the secret of a webhook and what its address holds are known', () => {
    const notify = {
      url: 'https://hooks.example/services/T0000000000000000/B?token=abcdefgh',
      secret: 'whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=',
      page: undefined,
      levels: [],
    }
    const none = { upstream: undefined, routes: [], audit: { path: '/a' }, chains: new Map() }
    const clean = redactor(secretsOf({ ...none, notify }))
    expect(clean(`posting to ${notify.url} with ${notify.secret}`)).toBe(
      'posting to https://hooks.example/services/[redacted]/B?token=[redacted] with [redacted]',
    )
  })

  test('leaves hashes, nonces and addresses, which people need', () => {
    const line = `{"tx":"0x${'a'.repeat(64)}","from":"0x${'b'.repeat(40)}","charge":"chg_1"}\n`
    expect(redactor(['unrelated'])(line)).toBe(line)
  })
})

test('every line of a request has its id, and a name of its own goes before it', () => {
  const contexts = requestContexts()
  const { log, lines } = logging({ contexts })
  contexts.run({ requestId: 'req_1', span: undefined }, () => {
    log.warn({ budget: 'all' }, 'a limit')
    log.info({ requestId: 'req_2' }, 'another')
  })
  log.info('outside')
  expect(lines.map((line) => (JSON.parse(line) as { requestId?: string }).requestId)).toEqual([
    'req_1',
    'req_2',
    undefined,
  ])
})

test('words for people hold the same', () => {
  const { log, lines } = logging({ format: 'text', level: 'info' })
  log.info({ route: 'paid/*', ms: 12, authorization: 'hidden' }, 'request')
  log.error({ err: new Error('broken') }, 'failed')
  log.debug('not shown')
  expect(lines[0]).toMatch(/^\d{4}-\S+Z INFO {2}request route=paid\/\* ms=12 authorization=\[redacted\]\n$/)
  expect(lines[1]).toMatch(/ERROR failed\nError: broken\n\s+at /)
  expect(lines).toHaveLength(2)
})

describe('LOG_LEVEL', () => {
  test('goes before the file, in any case', () => {
    const file = configFile('log: { level: error, format: text }\n')
    expect(loadConfig(file, { LOG_LEVEL: 'DEBUG' }).log).toEqual({ level: 'debug', format: 'text' })
    expect(loadConfig(file, { LOG_LEVEL: '' }).log.level).toBe('error')
    expect(loadConfig(configFile('store: memory\n'), {}).log).toEqual({ level: 'info', format: 'json' })
  })

  test('that is none is refused by its name', () => {
    expect(() => loadConfig(configFile('store: memory\n'), { LOG_LEVEL: 'loud' })).toThrow(/LOG_LEVEL/)
  })
})
