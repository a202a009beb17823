/** The index: what is found by which words, what grows old, and what a probe leaves behind. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { readCatalogue } from '../../src/core/catalogue/read-catalogue.ts'
import { CatalogueIndex } from '../../src/io/catalogue/catalogue-index.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import { temporaryDirectory } from '../config/config-file.ts'
import { CATALOG_V1, CATALOG_V2, SERVICES } from './documents.ts'

const open: CatalogueIndex[] = []
afterEach(() => {
  for (const index of open.splice(0)) index.close()
})

function openIndex(path = ':memory:'): CatalogueIndex {
  const index = new CatalogueIndex(path)
  open.push(index)
  return index
}

function filled(): CatalogueIndex {
  const index = openIndex()
  index.addSource({ name: 'paysh', kind: 'paysh', address: '/a' }, 1)
  index.addSource({ name: 'obol', kind: 'services', address: 'https://x.example' }, 1)
  for (const [name, kind, document] of [
    ['paysh', 'paysh', { entries: [...CATALOG_V2.entries], services: [] }],
    ['obol', 'services', SERVICES],
  ] as const) {
    const read = readCatalogue(kind, document, undefined)
    if (read) index.store(name, read, 5)
  }
  return index
}

const ids = (found: readonly { readonly listing: { readonly id: string } }[]): string[] =>
  found.map(({ listing }) => listing.id)

describe('search', () => {
  it.each([
    ['qwen3.5:9b', ['llm/qwen']],
    ['QWEN', ['llm/qwen']],
    ['physics', ['wolfram-alpha']],
    ['convert units', ['wolfram-alpha']],
    ['math', ['wolfram-alpha', 'wolfram-alpha-llm']],
    ['find me a service to convert units for me', ['wolfram-alpha']],
    ['units of the moon', ['wolfram-alpha']],
    ['obol.seller.example', ['llm/qwen', 'llm/tuner']],
    ['nothing-like-it', []],
    ['', []],
    ['"', []],
    ['* OR NEAR( ) : ^ -', []],
    ['nothing\0like it', []],
    ['\0', []],
  ])('finds by %j', (words, expected) => {
    expect(ids(filled().search(words, 10)).toSorted()).toEqual([...expected].toSorted())
  })

  it('takes no word for an operator of the search', () => {
    const index = filled()
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme' }),
        fc.constantFrom(' OR ', ' NOT ', '" ', ' NEAR(', ' :', '*', '\0'),
        (a, b) => {
          index.search(`${a}${b}qwen`, 5)
        },
      ),
    )
  })

  it('looks at one source only where one is named, and shows at most as many as wanted', () => {
    const index = filled()
    expect(ids(index.search('math', 1))).toHaveLength(1)
    expect(ids(index.search('math', 5, 'obol'))).toEqual([])
    expect(ids(index.all(10, 'obol'))).toEqual(['llm/qwen', 'llm/tuner'])
  })
})

describe('a source', () => {
  it('that is read again shows what it lists now, and nothing of before', () => {
    const index = filled()
    const read = readCatalogue('services', SERVICES.slice(1), undefined)
    if (read) index.store('obol', read, 9)
    expect(ids(index.search('qwen', 5))).toEqual([])
    expect(index.find('obol', 'llm/tuner')?.seenAt).toBe(9)
  })

  it('that cannot be read keeps its listings and says why', () => {
    const index = filled()
    index.fail('obol', 'it answered 500')
    expect(index.sources().find(({ name }) => name === 'obol')).toMatchObject({
      listings: 2,
      problem: 'it answered 500',
      readAt: 5,
    })
  })

  it('that is removed takes its listings with it', () => {
    const index = filled()
    expect([index.removeSource('obol'), index.removeSource('obol')]).toEqual([true, false])
    expect(ids(index.search('qwen', 5))).toEqual([])
    expect(index.sources().map(({ name }) => name)).toEqual(['paysh'])
  })

  it('may only be added to', () => {
    const index = filled()
    const read = readCatalogue('paysh', CATALOG_V1, undefined)
    if (read) index.store('paysh', { ...read, replaces: ['textbelt'] }, 9)
    expect(ids(index.all(9, 'paysh'))).toHaveLength(3)
  })
})

it('keeps the last 50 probes of an address', () => {
  const index = openIndex()
  for (let at = 1; at <= 60; at += 1)
    index.noteProbe('https://x.example/', 'GET', { at, status: 402, usd: '0.01', payable: true, note: '' })
  index.noteProbe('https://x.example/', 'POST', {
    at: 1,
    status: undefined,
    usd: undefined,
    payable: false,
    note: 'x',
  })
  const found = index.probes('https://x.example/', 'GET')
  expect([found.length, found[0]?.at, found.at(-1)?.at]).toEqual([50, 60, 11])
  expect(index.probes('https://x.example/', 'POST')).toMatchObject([{ note: 'x', payable: false }])
})

describe('the file', () => {
  it('is read again as it was left', () => {
    const path = join(temporaryDirectory(), 'index.db')
    const first = openIndex(path)
    first.addSource({ name: 'a', kind: 'services', address: '/a' }, 1)
    const read = readCatalogue('services', SERVICES, undefined)
    if (read) first.store('a', { ...read, nextBlock: 2n ** 70n }, 3)
    expect(openIndex(path).sources()).toMatchObject([{ name: 'a', listings: 2, nextBlock: 2n ** 70n }])
  })

  it('is never a ledger, nor anything else that is there already', async () => {
    const directory = temporaryDirectory()
    const ledger = join(directory, 'ledger.db')
    const store = openSqliteStore({ path: ledger })
    await store.close()
    expect(() => new CatalogueIndex(ledger)).toThrow(/is not an index of catalogues/)
    const text = join(directory, 'text')
    writeFileSync(text, 'x'.repeat(5000))
    expect(() => new CatalogueIndex(text)).toThrow(/cannot be opened/)
    expect(() => new CatalogueIndex(join(directory, 'no', 'index.db'))).toThrow(/does not exist/)
  })
})
