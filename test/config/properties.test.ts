import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isMap, isSeq, parseDocument, type YAMLMap } from 'yaml'
import { loadConfig } from '../../src/app/config/load.ts'
import { explainKey } from '../../src/app/config/reading/explain.ts'
import { ConfigProblemsError } from '../../src/app/config/values/problems.ts'
import { mappings, notesOf } from '../../src/app/config/reading/schema-walk.ts'
import { configSchema } from '../../src/app/config/schema/schema.ts'
import { configFile, FULL, FULL_ENV, load, problemsIn, temporaryDirectory } from './config-file.ts'

/** Every mapping of the full example, deepest last. */
function maps(): YAMLMap[] {
  const found: YAMLMap[] = []
  const walk = (node: unknown): void => {
    if (isMap(node)) found.push(node)
    if (isMap(node)) for (const pair of node.items) walk(pair.value)
    if (isSeq(node)) for (const item of node.items) walk(item)
  }
  const document = parseDocument(FULL)
  walk(document.contents)
  return found
}

describe('the full example', () => {
  it('passes every check', () => {
    expect(() => load(FULL, FULL_ENV)).not.toThrow()
  })

  it('uses every key there is, so that the rules below reach all of them', () => {
    const written = new Set(maps().flatMap((map) => map.items.map((pair) => String(pair.key))))
    const known = mappings(configSchema).flatMap(({ shape }) => Object.keys(shape))
    expect(known.filter((key) => !written.has(key))).toEqual([])
  })
})

it('every key has words for the reference, and every required value an example', () => {
  const bare = mappings(configSchema).flatMap(({ pattern, shape }) =>
    Object.entries(shape).flatMap(([key, schema]) =>
      notesOf(schema).description === undefined ? [`${pattern}.${key}`] : [],
    ),
  )
  expect(bare).toEqual([])
})

it('every key that can hold a secret takes references only', () => {
  const open = mappings(configSchema).flatMap(({ pattern, shape }) =>
    Object.entries(shape).flatMap(([key, schema]) =>
      // Prices and limits count tokens; `keys` and `keystore` are sections.
      /key|secret|token|password/.test(key) &&
      !/_per_token$|_tokens$|^tokens_per_|^keys$|^keystore$/.test(key) &&
      notesOf(schema).secret === undefined
        ? [`${pattern}.${key}`]
        : [],
    ),
  )
  expect(open).toEqual([])
})

/** Inserts `key: 1` before a mapping's first line in block style, and gives the line it stands on. */
function insertKey(at: number, key: string): { readonly text: string; readonly line: number } {
  const mapping = maps()[at]
  const offset = mapping?.range?.[0] ?? 0
  const lineStart = FULL.lastIndexOf('\n', offset - 1) + 1
  const column = offset - lineStart
  const text = `${FULL.slice(0, offset)}${key}: 1\n${' '.repeat(column)}${FULL.slice(offset)}`
  return { text, line: FULL.slice(0, offset).split('\n').length }
}

it('reports a single unknown key anywhere, by its line', () => {
  const path = configFile('')
  const directory = path.slice(0, path.lastIndexOf('/'))
  const count = maps().length
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: count - 1 }),
      fc.stringMatching(/^[a-z][a-z_]{0,15}$/),
      (at, key) => {
        const mapping = maps()[at]
        fc.pre(mapping !== undefined && !mapping.has(key) && !isChosenName(mapping))
        const { text, line } = insertKey(at, key)
        // A key that the mapping could have, and merely has not, is no unknown key.
        fc.pre(!mappings(configSchema).some(({ shape }) => Object.hasOwn(shape, key)))
        configFile(text, directory)
        const problems = problemsIn(() => loadConfig(path, FULL_ENV))
        expect(problems).toHaveLength(1)
        expect(problems[0]?.position?.line).toBe(line)
        expect(problems[0]?.path.endsWith(key)).toBe(true)
        expect(problems[0]?.message).toMatch(/is not a known key|is not there yet/)
      },
    ),
    { numRuns: 30 },
  )
})

/** Mappings whose keys are names of the user's choice: payers, sellers, fallbacks. */
function isChosenName(mapping: YAMLMap): boolean {
  const known = new Set(mappings(configSchema).flatMap(({ shape }) => Object.keys(shape)))
  return mapping.items.every((pair) => !known.has(String(pair.key)))
}

it('suggests the right key for every single letter dropped, doubled or swapped in any mapping', () => {
  const wrong = mappings(configSchema).flatMap(({ pattern, shape }) =>
    Object.keys(shape).flatMap((key) =>
      slipsOf(key)
        // A slip that makes another key of the same mapping is no unknown key.
        .filter((slip) => !Object.hasOwn(shape, slip))
        .map((slip) => ({
          at: `${pattern}.${key}`,
          slip,
          said: explainKey(configSchema, pathOf(pattern), slip),
        }))
        .filter(({ said }) => said !== `is not a known key. Did you mean "${key}"?`),
    ),
  )
  expect(wrong).toEqual([])
})

function slipsOf(key: string): string[] {
  const slips = [...key].flatMap((letter, at) => [
    key.slice(0, at) + key.slice(at + 1),
    key.slice(0, at) + letter + key.slice(at),
    key.slice(0, at) + (key[at + 1] ?? '') + letter + key.slice(at + 2),
  ])
  return [...new Set(slips)].filter((slip) => slip !== key)
}

/** A path that a pattern such as `policy.sellers.*` stands for. */
function pathOf(pattern: string): (string | number)[] {
  return pattern
    .replaceAll('[]', '.0')
    .split('.')
    .filter((segment) => segment !== '')
    .map((segment) => (segment === '0' ? 0 : segment))
}

describe('secrets', () => {
  /** Long and random enough not to turn up by chance in a message. */
  const secret = fc.stringMatching(/^[A-Za-z0-9+/=_-]{20,70}$/)
  /** What the secret breaks when it is not the value that belongs there. */
  const broken = fc.constantFrom('', ' ', '\n', '"', '\u0000', '*', ' }', ': x', '#')

  it('never appear in a message, wherever a reference puts them', () => {
    const names = Object.keys(FULL_ENV)
    const texts = [
      /http:\/\/127\.0\.0\.1:4000\/v1\//,
      /https:\/\/Seller\.example\.com\/v1\//,
      /sqlite:\.\/ledger\/tollway\.db/,
      /\bday\b/,
      /Europe\/Berlin/,
      /"5\.00"/,
      /base-sepolia/,
      /openclaw/,
      /local-llama/,
      /Gateway\.internal/,
      /payer: base/,
      /1\.5mb/,
      /drain/,
    ]
    const path = configFile('', temporaryDirectory())
    const directory = path.slice(0, path.lastIndexOf('/'))
    fc.assert(
      fc.property(
        secret,
        broken,
        fc.constantFrom(...texts),
        fc.constantFrom(...names),
        (value, tail, pattern, name) => {
          const text = FULL.replace(pattern, (found) =>
            found.startsWith('payer') ? 'payer: "${env:LEAK}"' : '"${env:LEAK}"',
          )
          expect(text).not.toBe(FULL)
          configFile(text, directory)
          const message = messageOf(() =>
            loadConfig(path, { ...FULL_ENV, [name]: value + tail, LEAK: value + tail }),
          )
          expect(message).not.toContain(value)
        },
      ),
      { numRuns: 50 },
    )
  })

  it('never appear in a message when they stand in the file in plain text', () => {
    const references = [...FULL.matchAll(/"\$\{env:[A-Z_]+\}"/g)].map(([found]) => found)
    expect(references.length).toBeGreaterThan(5)
    const path = configFile('', temporaryDirectory())
    const directory = path.slice(0, path.lastIndexOf('/'))
    fc.assert(
      fc.property(
        secret,
        broken,
        fc.constantFrom(...references),
        fc.constantFrom('', '"', "'"),
        (value, tail, reference, quote) => {
          configFile(
            FULL.replace(reference, () => `${quote}${value}${tail}${quote}`),
            directory,
          )
          const message = messageOf(() => loadConfig(path, FULL_ENV))
          expect(message).not.toBe('')
          expect(message).not.toContain(value)
        },
      ),
      { numRuns: 50 },
    )
  })
})

function messageOf(act: () => unknown): string {
  try {
    act()
    return ''
  } catch (error) {
    if (error instanceof ConfigProblemsError)
      return `${error.message}\n${JSON.stringify(error.problems)}\n${error.stack}`
    throw error
  }
}
