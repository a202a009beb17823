import { describe, expect, test } from 'vitest'
import { matchesPattern } from '../../src/core/name-pattern.ts'
import { compileRoutes, type Route } from '../../src/core/routing/route.ts'

function route(modelName: string, more: Partial<Route> = {}): Route {
  return {
    modelName,
    model: undefined,
    apiBase: 'http://seller.test/v1',
    payer: 'base',
    apiKey: undefined,
    order: 0,
    ...more,
  }
}

describe('matching', () => {
  test('an exact name beats a pattern, a longer pattern beats a shorter one', () => {
    const table = compileRoutes([route('*'), route('paid/*'), route('paid/big-*'), route('paid/big-1')])
    const claimedBy = (model: string): string | undefined => table.match(model)[0]?.route.modelName
    expect(['paid/big-1', 'paid/big-2', 'paid/x', 'gpt'].map(claimedBy)).toEqual([
      'paid/big-1',
      'paid/big-*',
      'paid/*',
      '*',
    ])
  })

  test('a pattern needs something for its star', () => {
    expect(compileRoutes([route('paid/*')]).match('paid/')).toEqual([])
    expect(matchesPattern('*', 'a')).toBe(true)
    expect(matchesPattern('a*a', 'a')).toBe(false)
  })

  test('names with regular-expression characters are plain text', () => {
    const table = compileRoutes([route('qwen2.5:7b'), route('$&*')])
    expect(table.match('qwen2x5:7b')).toEqual([])
    expect(table.match('$&x')).toHaveLength(1)
  })

  test('the remote star becomes what the public star matched, also when that holds a $ or a *', () => {
    const table = compileRoutes([route('paid/*', { model: 'vendor/*' })])
    expect(table.match('paid/qwen')[0]?.remoteModel).toBe('vendor/qwen')
    expect(table.match('paid/$&')[0]?.remoteModel).toBe('vendor/$&')
    expect(table.match('paid/*')[0]?.remoteModel).toBe('vendor/*')
    expect(compileRoutes([route('paid/*')]).match('paid/qwen')[0]?.remoteModel).toBe('paid/qwen')
  })

  test('candidates of one name follow their order, then the fallbacks', () => {
    const table = compileRoutes(
      [
        route('m', { order: 2, apiBase: 'http://b.test' }),
        route('m', { order: 1, apiBase: 'http://a.test' }),
        route('local'),
      ],
      new Map([['m', ['local']]]),
    )
    expect(table.match('m').map(({ route: { apiBase, modelName } }) => `${modelName} ${apiBase}`)).toEqual([
      'm http://a.test',
      'm http://b.test',
      'local http://seller.test/v1',
    ])
  })
})

test('adjacent stars and a remote star without a public one are refused at start', () => {
  expect(() => compileRoutes([route('a**')])).toThrow(
    'model_name "a**" has two * side by side. One is enough.',
  )
  expect(() => compileRoutes([route('a/*', { model: '*/*' })])).toThrow('has more * than "a/*"')
  expect(() => compileRoutes([route('a', { model: 'v/*' })])).toThrow("Name the seller's model.")
})
