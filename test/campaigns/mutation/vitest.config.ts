/** Runs test files with one mutant in place of its source: `TOLLWAY_MUTANT` is `{ file, start, end, text }`. */
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

interface Change {
  readonly file: string
  readonly start: number
  readonly end: number
  readonly text: string
}

const root = join(import.meta.dirname, '../../..')
const { file, start, end, text } = JSON.parse(process.env['TOLLWAY_MUTANT'] ?? '{}') as Change

export default defineConfig({
  root,
  plugins: [
    {
      name: 'mutant',
      enforce: 'pre',
      transform(source, id) {
        return id.split('?')[0] === join(root, file)
          ? source.slice(0, start) + text + source.slice(end)
          : undefined
      },
    },
  ],
  test: {
    include: ['test/**/*.test.ts'],
    // A mutant must never be taken for the file, or for another one.
    fsModuleCache: false,
    isolate: false,
    maxWorkers: 1,
    testTimeout: 60_000,
    bail: 1,
    unstubEnvs: true,
  },
})
