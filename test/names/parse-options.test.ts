import { expect, test } from 'vitest'
import { z } from 'zod'
import * as middleware from '../../middleware/index.ts'
import { direct } from '../../providers/direct/direct.ts'
import * as providers from '../../providers/index.ts'
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

test('the nearest key is named in a list by name too', () => {
  const schema = z.strictObject({ prices: z.record(z.string(), z.strictObject({ input: z.string() })) })
  expect(() => parseOptions('thing', schema, { prices: { m: { inputs: '1' } } })).toThrow(
    '"prices.m.inputs" is not an option. Did you mean "input"?',
  )
})

test('every mistake is named, with where it is', () => {
  expect(fault({ limit: 'x', limits: 1 })).toMatch(/^thing\(\): limit: .*number.*"limits" is not an option\./)
})

test.each([
  ['a missing list', { names: undefined }, 'thing(): names: give a list.'],
  ['a type', { names: [], count: 'x' }, 'thing(): count: give a number.'],
  ['a fraction', { names: [], count: 1.5 }, 'thing(): count: give a whole number.'],
  ['a bound', { names: [], count: 0 }, 'thing(): count: give at least 1.'],
  ['a choice', { names: [], mode: 'gentel' }, 'thing(): mode: use gentle or harsh. Did you mean "gentle"?'],
  ['a choice far from all', { names: [], mode: 'x' }, 'thing(): mode: use gentle or harsh.'],
])('%s without a message of its own is explained in our words', (_what, options, message) => {
  const schema = z.strictObject({
    names: z.array(z.string()),
    count: z.int().min(1).optional(),
    mode: z.enum(['gentle', 'harsh']).optional(),
  })
  expect(() => parseOptions('thing', schema, options)).toThrow(message)
})

test('no factory repeats the words of the validator, whatever it is given', async () => {
  const factories = Object.entries({ ...middleware, ...providers }).filter(
    ([name]) => !NOT_FACTORIES.has(name) && /^[a-z]/.test(name),
  )
  expect(factories.length).toBeGreaterThan(20)
  for (const [name, factory] of factories) {
    for (const options of [{}, { nonsense: 1 }]) {
      const message = await messageOf(factory, options)
      expect(message, name).not.toMatch(/Invalid|[Ee]xpected|received|undefined|Unrecognized|[?!]\./)
    }
  }
})

/** Exported functions that take no options. */
const NOT_FACTORIES = new Set([
  'reportUsage',
  'clientErrorHandler',
  'exchangeOf',
  'mayUse',
  'restream',
  'composeAuthorization',
  'toTyped',
  'toWire',
])

async function messageOf(factory: unknown, options: object): Promise<string> {
  if (typeof factory !== 'function') return ''
  try {
    const made: unknown = await factory(options)
    await (made as { close?(): Promise<void> } | undefined)?.close?.()
    return ''
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

test('a misspelt window or scope of a budget is answered with the nearest one', () => {
  const budget = { name: 'a', limitUsd: '1.00', window: 'dya', per: 'calller', limitsUsd: 1 }
  expect(() => middleware.budgetGuard({ budgets: [budget] } as never)).toThrow(
    /window: use .* Did you mean "day"\?.*per: use .* Did you mean "caller"\?.*"limitsUsd" is not an option\. Did you mean "limitUsd"\?/s,
  )
})

test('a factory that was mounted instead of called says so', () => {
  expect(fault({ httpVersion: '1.1', socket: {} })).toBe(
    'thing was mounted without being called. Nothing was paid. Write app.use(thing(...)).',
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
