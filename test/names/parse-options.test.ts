import { expect, test } from 'vitest'
import { z } from 'zod'
import { direct } from '../../providers/direct/direct.ts'
import { obolSidecar } from '../../providers/obol/sidecar.ts'
import { health } from '../../middleware/health.ts'
import { parseOptions } from '../../src/io/names/parse-options.ts'

const SCHEMA = z.strictObject({
  limit: z.number().optional(),
  key: z
    .discriminatedUnion('source', [
      z.strictObject({ source: z.literal('env'), name: z.string() }),
      z.strictObject({ source: z.literal('file'), path: z.string() }),
    ])
    .optional(),
  callers: z.array(z.strictObject({ id: z.string() })).default([]),
})

const fault = (options: unknown): unknown => {
  try {
    return parseOptions('thing', SCHEMA, options)
  } catch (error) {
    return error instanceof Error ? error.message : error
  }
}

test('options that fit are parsed, defaults filled in', () => {
  expect(parseOptions('thing', SCHEMA, { limit: 1 })).toEqual({ limit: 1, callers: [] })
})

test.each([
  ['at the top', { limt: 1 }, 'thing(): "limt" is not an option. Did you mean "limit"?'],
  ['of a list', { callers: [{ id: 'a', key: 1 }] }, 'thing(): "callers.0.key" is not an option. Known: id.'],
  [
    'of a union',
    { key: { source: 'file', path: 'x', nam: 1 } },
    'thing(): "key.nam" is not an option. Did you mean "name"?',
  ],
])('an unknown key %s is answered with the nearest known one, or all', (_where, options, message) => {
  expect(fault(options)).toBe(message)
})

test('every mistake is named, with where it is', () => {
  expect(fault({ limit: 'x', limits: 1 })).toMatch(/^thing\(\): limit: .*number.*"limits" is not an option\./)
})

test('a factory that was mounted instead of called says so', () => {
  expect(fault({ httpVersion: '1.1', socket: {} })).toBe(
    'thing was mounted without being called. Write app.use(thing(...)).',
  )
})

test('middlewares and payers say it in the same words', async () => {
  expect(() => health({ check: {} } as never)).toThrow(
    'health(): "check" is not an option. Did you mean "checks"?',
  )
  const key = { source: 'env', name: 'X', mode: 1 } as const
  await expect(direct({ key, networks: ['base'] })).rejects.toThrow(/"key\.mode" is not an option\./)
  const sidecar = { uri: 'x' }
  await expect(async () => await obolSidecar(sidecar as never)).rejects.toThrow(
    /"uri" is not an option\. Did you mean "url"\?/,
  )
})
