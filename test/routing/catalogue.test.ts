import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  MAX_CATALOGUE_MODELS,
  publicName,
  readCatalogue,
  typicalMicroUsd,
} from '../../src/core/routing/catalogue.ts'
import { compileRoutes } from '../../src/core/routing/route.ts'
import { route } from './routes.ts'

const one = (row: object): object | undefined => readCatalogue({ data: [{ id: 'm', ...row }] })?.[0]?.info

describe('a catalogue', () => {
  test('is read in both spellings to the same prices per token', () => {
    const nested = {
      id: 'a/b',
      pricing: { input: 2.5, output: 10 },
      context_window: 128_000,
      max_output: 4096,
    }
    const flat = { id: 'a/b', inputPrice: '2.5', outputPrice: 10, contextWindow: 128_000, maxOutput: 4096 }
    const expected = {
      contextWindow: 128_000,
      maxOutputTokens: 4096,
      inputUsdPerToken: '0.0000025',
      outputUsdPerToken: '0.00001',
    }
    expect(readCatalogue({ data: [nested] })).toMatchObject([{ id: 'a/b', info: expected }])
    expect(readCatalogue({ object: 'list', models: [flat] })).toMatchObject([{ id: 'a/b', info: expected }])
  })

  test('has flat prices per request, and a price of zero for free models', () => {
    expect(one({ pricing: { flat: 0.04 } })).toMatchObject({ microUsdPerRequest: 40_000n })
    expect(one({ flatPrice: 0.001 })).toMatchObject({ microUsdPerRequest: 1_000n })
    expect(one({ billing_mode: 'free', pricing: { input: 3, output: 3 } })).toMatchObject({
      microUsdPerRequest: 0n,
    })
  })

  test.each([['1e999'], ['NaN'], ['-1'], [''], ['cheap'], [null], [{}], [-1], [1e12]])(
    'leaves a price of %j out and keeps the model',
    (price) => {
      expect(one({ pricing: { input: price, output: 1 } })).toMatchObject({
        inputUsdPerToken: undefined,
        outputUsdPerToken: '0.000001',
      })
    },
  )

  test('leaves out what is hidden, not available, named twice, or has a name that could mean something else', () => {
    const rows = [
      { id: 'good' },
      { id: 'good', inputPrice: 9 },
      { id: 'hid', hidden: true },
      { id: 'off', available: false },
      { id: 'all/*' },
      { id: 'two words' },
      { id: '' },
      { id: 7 },
      null,
      'text',
    ]
    expect(readCatalogue({ data: rows })?.map(({ id }) => id)).toEqual(['good'])
  })

  test('is bounded, and is none when it is something else', () => {
    const many = Array.from({ length: MAX_CATALOGUE_MODELS + 5 }, (_, at) => ({ id: `m${at}` }))
    expect(readCatalogue({ data: many })).toHaveLength(MAX_CATALOGUE_MODELS)
    for (const other of [undefined, null, [], 'x', {}, { data: {} }, { models: 'x' }]) {
      expect(readCatalogue(other)).toBeUndefined()
    }
  })

  test('never throws, whatever JSON a seller sends, and its prices are never negative', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), (rows) => {
        for (const { info } of readCatalogue({ data: rows }) ?? []) {
          expect(typicalMicroUsd(info) ?? 0n).toBeGreaterThanOrEqual(0n)
        }
      }),
    )
  })

  test('compares sellers by a usual request, rounded up', () => {
    expect(typicalMicroUsd({ inputUsdPerToken: '0.000001', outputUsdPerToken: '0.000002' })).toBe(3_072n)
    expect(typicalMicroUsd({ outputUsdPerToken: '0.000000000001' })).toBe(1n)
    expect(typicalMicroUsd({ microUsdPerRequest: 5n, outputUsdPerToken: '1' })).toBe(5n)
    expect(typicalMicroUsd({ inputUsdPerToken: '1' })).toBeUndefined()
  })
})

describe("the public name of a seller's model", () => {
  const part = fc.string({ unit: fc.constantFrom('a', 'b', '/', ':'), maxLength: 4 })
  const patterns = fc.tuple(part, part).map(([before, after]) => `${before}*${after}`)

  test('leads by the route to that very model, whatever the patterns', () => {
    fc.assert(
      fc.property(patterns, fc.option(patterns, { nil: undefined }), part, part, (modelName, model, a, b) => {
        const id = (model ?? modelName).replace('*', () => `${a}x${b}`)
        const pattern = route(modelName, { model })
        const name = publicName(pattern, id)
        expect(name).toBeDefined()
        expect(compileRoutes([pattern]).match(name ?? '')[0]?.remoteModel).toBe(id)
      }),
    )
  })

  test('exists for exact routes of that model only, not for a pattern that maps to one model', () => {
    expect(publicName(route('mine', { model: 'a/b' }), 'a/b')).toBe('mine')
    expect(publicName(route('mine'), 'a/b')).toBeUndefined()
    expect(publicName(route('paid/*', { model: 'a/b' }), 'a/b')).toBeUndefined()
    expect(publicName(route('paid/*', { model: 'openai/*' }), 'google/x')).toBeUndefined()
  })
})
