import * as fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { classifyAnswer } from '../../src/core/routing/answer-class.ts'
import { findFormField } from '../../src/core/json/form-scan.ts'
import { parseInstant } from '../../src/core/instant.ts'
import { removeMembers, scanTopLevel } from '../../src/core/json/json-scan.ts'
import { readRetryAfter, retryDelay } from '../../src/core/routing/retry.ts'
import { compileRoutes } from '../../src/core/routing/route.ts'
import { SessionAffinity } from '../../src/core/routing/session-affinity.ts'
import { route } from './routes.ts'

describe('aliases, conditions and fallbacks', () => {
  const facts = (caller: string, headers: Record<string, string> = {}) => ({
    caller,
    header: (name: string) => headers[name],
  })

  test('a request for an alias is sent with the model that it refers to', () => {
    const table = compileRoutes([route('paid/*', { model: '*' })], new Map(), {
      aliases: new Map([['fast', 'paid/qwen']]),
    })
    expect(table.match('fast')[0]?.remoteModel).toBe('qwen')
    expect(table.resolve('fast')).toBe('paid/qwen')
    expect(table.match('slow')).toEqual([])
  })

  test('an alias of an alias is refused at start', () => {
    const aliases = new Map([
      ['a', 'b'],
      ['b', 'c'],
    ])
    expect(() => compileRoutes([route('c')], new Map(), { aliases })).toThrow('is itself an alias')
  })

  test('a route with a condition counts only where it holds, and goes before those without', () => {
    const plain = route('m', { apiBase: 'http://plain.test' })
    const search = route('m', { apiBase: 'http://search.test', order: 5, when: { callers: ['team-*'] } })
    const premium = route('m', {
      apiBase: 'http://premium.test',
      when: { callers: ['team-*'], headers: new Map([['x-tier', 'premium']]) },
    })
    const table = compileRoutes([plain, search, premium])
    const bases = (from: ReturnType<typeof facts> | undefined): string[] =>
      table.match('m', from).map((one) => one.route.apiBase)
    expect(bases(undefined)).toEqual(['http://plain.test'])
    expect(bases(facts('openclaw', { 'x-tier': 'premium' }))).toEqual(['http://plain.test'])
    expect(bases(facts('team-search'))).toEqual(['http://search.test', 'http://plain.test'])
    expect(bases(facts('team-search', { 'x-tier': 'premium' }))).toEqual([
      'http://premium.test',
      'http://search.test',
      'http://plain.test',
    ])
  })

  test('an exact name whose condition does not hold leaves the model to the pattern', () => {
    const table = compileRoutes([route('m', { when: { callers: ['a'] } }), route('*')])
    expect(table.match('m', facts('b'))[0]?.route.modelName).toBe('*')
  })

  test('fallbacks come after all own candidates, in separate ranks, each route once', () => {
    const table = compileRoutes(
      [route('m'), route('m', { order: 1 }), route('x'), route('y')],
      new Map([['m', ['x', 'm', 'y']]]),
    )
    expect(table.match('m').map((one) => [one.route.modelName, one.rank])).toEqual([
      ['m', 0],
      ['m', 1],
      ['x', 2],
      ['y', 5],
    ])
  })

  test("a fallback that the caller may not use is none, by its own name or its alias's", () => {
    const models = ['cheap', 'dear', 'fair', 'listed']
    const fallbacks = new Map([['cheap', ['dear', 'alias', 'fair']]])
    const table = compileRoutes(
      models.map((name) => route(name)),
      fallbacks,
      { aliases: new Map([['alias', 'listed']]), contextWindowFallbacks: fallbacks },
    )
    const names = (allowed: readonly string[]): string[][] => {
      const limited = {
        caller: 'a',
        header: () => undefined,
        mayUse: (name: string) => allowed.includes(name),
      }
      return [table.match('cheap', limited), table.fallbacks('cheap', 'context_window', limited)].map(
        (found) => found.map((one) => one.route.modelName),
      )
    }
    expect(names(['cheap'])).toEqual([['cheap'], []])
    expect(names(['cheap', 'alias'])).toEqual([['cheap', 'listed'], ['listed']])
    expect(names(['cheap', 'listed', 'fair'])).toEqual([
      ['cheap', 'listed', 'fair'],
      ['listed', 'fair'],
    ])
  })

  test('each kind of failure has its own fallbacks', () => {
    const table = compileRoutes([route('m'), route('long'), route('open')], new Map(), {
      contextWindowFallbacks: new Map([['m', ['long']]]),
      contentPolicyFallbacks: new Map([['m', ['open']]]),
    })
    const names = (kind: 'unavailable' | 'context_window' | 'content_policy'): string[] =>
      table.fallbacks('m', kind).map((one) => one.route.modelName)
    expect([names('unavailable'), names('context_window'), names('content_policy')]).toEqual([
      [],
      ['long'],
      ['open'],
    ])
  })
})

describe('what an unpaid answer means', () => {
  const words = (code: unknown) => Buffer.from(JSON.stringify({ error: { message: 'm', code } }))
  it.each([
    [200, false, undefined, 'ok'],
    [302, false, undefined, 'ok'],
    [400, false, undefined, 'request'],
    [401, false, undefined, 'request'],
    [401, true, undefined, 'unavailable'],
    [402, true, undefined, 'unavailable'],
    [404, true, undefined, 'request'],
    [408, false, undefined, 'unavailable'],
    [429, false, undefined, 'unavailable'],
    [500, false, undefined, 'unavailable'],
    [501, false, undefined, 'request'],
    [529, false, undefined, 'unavailable'],
    [400, false, words('context_length_exceeded'), 'context_window'],
    [400, false, words('content_filter'), 'content_policy'],
    [400, false, words('toString'), 'request'],
    [400, false, words(7), 'request'],
    [400, false, Buffer.from('not json'), 'request'],
    [500, false, words('content_filter'), 'unavailable'],
  ])('%i with a key of ours: %s', (status, ownKey, body, meaning) => {
    expect(classifyAnswer(status, ownKey, body)).toBe(meaning)
  })
})

describe('pauses', () => {
  it('grow, stay bounded, are never shorter than asked, and end where too much is asked', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.option(fc.integer({ min: 0, max: 20_000 }), { nil: undefined }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (attempt, asked, random) => {
          const pause = retryDelay(attempt, asked, random)
          if (asked !== undefined && asked > 10_000) {
            expect(pause).toBeUndefined()
            return
          }
          expect(pause).toBeGreaterThanOrEqual(Math.max(asked ?? 0, 125))
          expect(pause).toBeLessThanOrEqual(10_250)
        },
      ),
    )
    expect(retryDelay(1, undefined, 0)).not.toBe(retryDelay(1, undefined, 0.9))
  })

  it.each([
    [{ 'retry-after': '3' }, 3_000],
    [{ 'retry-after': '0' }, 0],
    [{ 'retry-after-ms': '250.5', 'retry-after': '3' }, 251],
    [{ 'retry-after': 'Thu, 01 Jan 1970 00:01:40 GMT' }, 40_000],
    [{ 'retry-after': 'Thu, 01 Jan 1970 00:00:00 GMT' }, 0],
    [{ 'retry-after': 'soon' }, undefined],
    [{ 'retry-after': '-1' }, undefined],
    [{ 'retry-after': '1e9' }, undefined],
    [{}, undefined],
  ])('%j asks for %s ms', (headers: Record<string, string>, ms) => {
    expect(readRetryAfter((name) => headers[name], 60_000)).toBe(ms)
  })
})

describe('fields taken out of a body', () => {
  const without = (text: string, ...names: string[]): string => {
    const bytes = Buffer.from(text)
    return removeMembers(bytes, scanTopLevel(bytes) ?? [], new Set(names)).toString()
  }
  it.each([
    ['{ "a":1 , "b": 2,\n"c":3 }', ['b'], '{ "a":1 , "c":3 }'],
    ['{ "a":1 , "b": 2,\n"c":3 }', ['a'], '{ "b": 2,\n"c":3 }'],
    ['{ "a":1 , "b": 2,\n"c":3 }', ['c'], '{ "a":1 , "b": 2 }'],
    ['{ "a":1 , "b": 2,\n"c":3 }', ['b', 'c'], '{ "a":1 }'],
    ['{"a":1,"b":2}', ['a', 'b'], '{}'],
    ['{"\\u0061":1,"a":2,"n":1.0}', ['a'], '{"n":1.0}'],
    ['{"a":{"b":1}}', ['b'], '{"a":{"b":1}}'],
    ['{}', ['a'], '{}'],
  ])('%s without %j', (text, names, left) => {
    expect(without(text, ...names)).toBe(left)
  })

  it('keeps exactly the other members, unchanged', () => {
    const key = fc.constantFrom('a', 'b', 'c', 'd', 'e')
    fc.assert(
      fc.property(
        fc.array(fc.tuple(key, fc.json()), { maxLength: 8 }),
        fc.subarray(['a', 'b', 'c', 'd', 'e']),
        (members, names) => {
          const text = `{${members.map(([name, value]) => `"${name}" : ${value}`).join(' ,\n')}}`
          const result = Buffer.from(without(text, ...names))
          const kept = members.filter(([name]) => !names.includes(name))
          const scanned = scanTopLevel(result)
          expect(
            scanned?.map((one) => [one.key, result.toString('utf8', one.valueStart, one.valueEnd).trim()]),
          ).toEqual(kept.map(([name, value]) => [name, value.trim()]))
        },
      ),
    )
  })
})

describe('a field of a form', () => {
  const part = (head: string, value: string): string => `--b\r\n${head}\r\n\r\n${value}\r\n`
  const place = (text: string, type = 'multipart/form-data; boundary=b'): string | undefined => {
    const body = Buffer.from(text, 'latin1')
    const found = findFormField(body, type, 'model')
    return found && body.toString('latin1', found.start, found.end)
  }
  const MODEL = part('Content-Disposition: form-data; name="model"', 'whisper')
  const FILE = part('content-disposition: form-data; name="file"; filename="model"', 'name="model"\r\n\r\nno')

  it('is found at any position, among files that look like it', () => {
    expect(place(`${MODEL}${FILE}--b--\r\n`)).toBe('whisper')
    expect(place(`preamble\r\n${FILE}${MODEL}--b--`)).toBe('whisper')
    expect(place(`${MODEL}--b--`, 'multipart/form-data; charset=x; boundary="b"')).toBe('whisper')
  })

  it.each([
    ['twice', `${MODEL}${MODEL}--b--`],
    ['never', `${FILE}--b--`],
    ['as a file', `${part('content-disposition: form-data; name="model"; filename="x"', 'whisper')}--b--`],
    ['in a form without end', MODEL],
    ['in a form of another boundary', MODEL.replaceAll('--b', '--c')],
    ['under an escaped name', `${part('content-disposition: form-data; name="mo\\del"', 'w')}--b--`],
  ])('named %s is not found', (_how, text) => {
    expect(place(text)).toBeUndefined()
  })
})

test('sessions are forgotten oldest first when there are too many', () => {
  const sessions = new SessionAffinity(1_000)
  for (let at = 0; at < 10_500; at++) sessions.note(`s${at}`, 'place', 0)
  expect(sessions.size).toBe(10_000)
  expect(sessions.recall('s499', 1)).toBeUndefined()
  expect(sessions.recall('s500', 1)).toBe('place')
})

test('instants are dates in UTC or times with a zone; anything ambiguous is refused', () => {
  expect(parseInstant('2027-01-31')).toBe(Date.UTC(2027, 0, 31))
  expect(parseInstant('2027-01-31T12:00:00+02:00')).toBe(Date.UTC(2027, 0, 31, 10))
  for (const text of ['2027-02-30', '31.1.2027', '2027-01-31T12:00', 'tomorrow', ''])
    expect(parseInstant(text)).toBeUndefined()
})
