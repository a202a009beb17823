import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

const TESTS = join(import.meta.dirname, '..')
/** Releases of LiteLLM that carried malware. */
const COMPROMISED = ['1.82.7', '1.82.8', '1.107.0']

describe.each(['litellm/requirements.lock', 'python/requirements.lock', 'tools/uv.lock'])('%s', (name) => {
  const text = readFileSync(join(TESTS, name), 'utf8')
  const entries = text.split(/\n(?=\S)/).filter((entry) => entry.trim() !== '')

  test('pins every package to a version and the hashes of its files', () => {
    expect(entries.length).toBeGreaterThan(0)
    const loose = entries.filter(
      (entry) =>
        !/^[a-z0-9.-]+==[\w.]+(?: ; [^\\]+)? \\\n(?: {4}--hash=sha256:[0-9a-f]{64}(?: \\\n|\n?$))+/.test(
          entry,
        ),
    )
    expect(loose).toEqual([])
  })

  test('names no place to install from', () => {
    expect(text).not.toMatch(/:\/\/|--(?:extra-)?index-url|--find-links/)
  })

  test('has no release of LiteLLM that is known to be compromised', () => {
    expect(COMPROMISED.filter((version) => text.includes(`litellm==${version} `))).toEqual([])
  })
})

test('the script that installs refuses the same releases', () => {
  const script = readFileSync(join(import.meta.dirname, 'python-environment.sh'), 'utf8')
  for (const version of COMPROMISED) expect(script).toContain(version.replaceAll('.', String.raw`\.`))
})
