import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { artifactFile, renderArtifact } from '../tools/compile-token.mts'

it('ships exactly what the contracts compile to', () => {
  expect(
    renderArtifact() === readFileSync(artifactFile, 'utf8'),
    'a contract changed: run `node test/tools/compile-token.mts` and commit src/app/sandbox/chain/token-artifact.ts',
  ).toBe(true)
})
