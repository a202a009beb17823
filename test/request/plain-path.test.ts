/** Which URLs are plain paths: the short cut for ordinary ones says what the long way says. */
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { plainPath } from '../../src/core/request/endpoints.ts'

/** What a plain path is, spelt out. */
function expected(url: string): string | undefined {
  const [path = ''] = url.split(/[?#]/)
  const parts = path.split('/')
  const hides =
    !path.startsWith('/') ||
    path.includes('\\') ||
    path.includes('//') ||
    parts.some((part) => ['.', '..'].includes(part)) ||
    ['%2e', '%2f', '%5c', '%00'].some((code) => path.toLowerCase().includes(code))
  return hides ? undefined : path
}

test('a path hides nothing exactly when it has no dots, double or encoded separators, or backslashes', () => {
  const part = fc.constantFrom(
    '/',
    '.',
    '..',
    'v1',
    'chat-x',
    '?',
    '#',
    '%2F',
    '%2e',
    '\\',
    '%41',
    ':',
    '\n',
    'é',
  )
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      for (const url of [parts.join(''), `/${parts.join('')}`]) expect(plainPath(url)).toBe(expected(url))
    }),
    { numRuns: 3000 },
  )
})

test.each(['/v1/chat/completions', '/metrics', '/'])('%s is one', (url) => {
  expect(plainPath(url)).toBe(url)
})
