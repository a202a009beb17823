/** `filled_by`: who may sign for a pool in the background. */
import { expect, test } from 'vitest'
import { parseConfig } from '../../src/app/config/load.ts'

const direct = { kind: 'direct', key: '${env:W}', networks: ['base'] }
const pool = { kind: 'obol', mode: 'pool' }

function payers(entries: object) {
  return parseConfig({ payers: entries }, { W: 'a key' }).payers
}

test('names the payer that signs; without it nobody does', () => {
  expect(payers({ w: direct, p: { ...pool, filled_by: 'w' } }).get('p')).toMatchObject({ filledBy: 'w' })
  expect(payers({ w: direct, p: pool }).get('p')).not.toHaveProperty('filledBy')
})

test.each([
  [{ p: { ...pool, filled_by: 'w' } }, /filled_by: unknown payer\. Known: p\./],
  [{ p: { ...pool, filled_by: 'constructor' } }, /filled_by: unknown payer\. Known: p\./],
  [{ p: { ...pool, filled_by: 'p' } }, /filled_by: is a payer that cannot sign in advance/],
  [
    { a: { kind: 'agentcash', mode: 'cli', binary: '/bin/agentcash' }, p: { ...pool, filled_by: 'a' } },
    /filled_by: is a payer that cannot sign in advance/,
  ],
  [
    { w: direct, p: { ...pool, config: './c', auths: './a', filled_by: 'w' } },
    /filled_by: cannot be combined with config/,
  ],
])('%j is refused with the fix', (entries, words) => {
  expect(() => payers(entries)).toThrow(words)
})
