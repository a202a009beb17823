import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { renderReference } from '../../src/app/config/reference.ts'

it('docs/configuration.md is generated from the schema and up to date', () => {
  const committed = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8')
  expect(
    committed,
    'docs/configuration.md is not what the schema says. Run: node src/app/config/reference.ts > docs/configuration.md',
  ).toBe(renderReference())
})
