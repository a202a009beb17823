import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { capture, fillStars, matchesPattern, parsePattern } from '../../src/core/name-pattern.ts'
import { publicName } from '../../src/core/routing/catalogue.ts'
import { compileRoutes, type Route } from '../../src/core/routing/route.ts'

function route(modelName: string, model?: string): Route {
  return { modelName, model, apiBase: 'http://a.test/v1', payer: undefined, apiKey: undefined, order: 0 }
}

describe('several stars in a name', () => {
  test.each([
    ['fo::*:static::*', 'fo::a:static::b', ['a', 'b']],
    ['fo::*:static::*', 'fo:::static::b', undefined],
    ['*/*', 'a/b/c', ['a/b', 'c']],
    ['*-*-*', 'a-b-c-d', ['a-b', 'c', 'd']],
    ['a*a*a', 'aaa', undefined],
    ['a*a*a', 'axaya', ['x', 'y']],
    ['ft:*:team:*:v1', 'ft:gpt-4o:team:x:v1', ['gpt-4o', 'x']],
    ['exact', 'exact', []],
  ] as const)('%s read against %s', (pattern, name, captured) => {
    expect(capture(parsePattern(pattern), name)).toEqual(captured)
  })

  test('are put into the seller’s name in order', () => {
    const table = compileRoutes([route('ft:*:team:*', 'ft/*/of/*'), route('x/*/*', 'only/*')])
    expect(table.match('ft:gpt:team:red')[0]?.remoteModel).toBe('ft/gpt/of/red')
    expect(table.match('x/a/b')[0]?.remoteModel).toBe('only/a')
  })

  test('the name with more literal characters wins', () => {
    const table = compileRoutes([route('*'), route('a/*/c*'), route('a/*')])
    expect(table.match('a/b/cd')[0]?.route.modelName).toBe('a/*/c*')
  })

  test('a catalogue’s model has a public name only where every star is known', () => {
    expect(publicName(route('ft:*:team:*', 'ft/*/of/*'), 'ft/gpt/of/red')).toBe('ft:gpt:team:red')
    expect(publicName(route('x/*/*', 'only/*'), 'only/a')).toBeUndefined()
  })
})

test('what was captured, put back, is the name; as a regular expression reads it', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 12 })
  const pattern = fc
    .string({ unit: fc.constantFrom('a', 'b', '/', '*'), maxLength: 8 })
    .filter((name) => !name.includes('**'))
  fc.assert(
    fc.property(pattern, text, (template, name) => {
      const captured = capture(parsePattern(template), name)
      const expected = new RegExp(`^${template.replaceAll('*', '([^]+)')}$`).exec(name)
      expect(captured).toEqual(expected === null ? undefined : expected.slice(1))
      if (captured) expect(fillStars(template, captured)).toBe(name)
      expect(matchesPattern(template, name)).toBe(captured !== undefined)
    }),
    { numRuns: 2000 },
  )
})

test('a fallback list under * is for every model without one of its own', () => {
  const fallbacks = new Map([
    ['*', ['spare']],
    ['own', ['other']],
  ])
  const table = compileRoutes([route('a'), route('own'), route('spare'), route('other')], fallbacks)
  const names = (model: string): string[] => table.match(model).map((each) => each.route.modelName)
  expect(names('a')).toEqual(['a', 'spare'])
  expect(names('own')).toEqual(['own', 'other'])
  expect(names('spare')).toEqual(['spare'])
})
