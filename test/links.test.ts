/** Every link of every page, in the repository; test/package/package.consumer.ts follows them in the packed package. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { anchorsOf, deadLinks, linksOf } from './kit/links.ts'

const ROOT = join(import.meta.dirname, '..')

test('every link of every page leads to a file, and to a heading in it', () => {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  const names = listed.split('\0').filter((name) => name.endsWith('.md') && existsSync(join(ROOT, name)))
  expect(names).toEqual(
    expect.arrayContaining([
      'CHANGELOG.md',
      'CONTRIBUTING.md',
      'README.md',
      'SECURITY.md',
      'docs/README.md',
      'docs/architecture.md',
    ]),
  )
  const pages = new Map(names.map((name) => [name, readFileSync(join(ROOT, name), 'utf8')]))
  expect(deadLinks(pages, (path) => existsSync(join(ROOT, path)))).toEqual([])
})

test('the map of the documentation has every page of docs/', () => {
  const listed = execFileSync('git', ['ls-files', 'docs/*.md'], { cwd: ROOT, encoding: 'utf8' })
  // The pages of a folder are listed by the page of the same name.
  const maps = ['README.md', 'middlewares.md'].map((name) => readFileSync(join(ROOT, 'docs', name), 'utf8'))
  const map = new Set(maps.flatMap((text) => [...linksOf(text)]))
  const missing = listed
    .trim()
    .split('\n')
    .map((name) => name.replace('docs/', ''))
    .filter((name) => name !== 'README.md' && !map.has(name))
  expect(missing).toEqual([])
})

test('a dead file, a dead heading and a file outside the package are found; code is no link', () => {
  const pages = new Map([
    [
      'README.md',
      '# One\n[a](docs/a.md#two-words) [b](docs/b.md) [c](#on) [d](#one) [e](docs/a.md#two) `[f](g)`',
    ],
    [
      'docs/a.md',
      '## Two `words`!\n[up](../README.md) [x](https://example.com/#y)\n```text\n[g](h)\n```\n[r]: gone.md\n',
    ],
  ])
  expect(deadLinks(pages, (path) => pages.has(path))).toEqual([
    { page: 'README.md', target: 'docs/b.md' },
    { page: 'README.md', target: '#on' },
    { page: 'README.md', target: 'docs/a.md#two' },
    { page: 'docs/a.md', target: 'gone.md' },
  ])
})

test('anchors are those GitHub makes', () => {
  const page =
    "# A quote above the ceiling\n## LiteLLM's config.yaml\n## `callers[]`\n## Twice\n## Twice\n```sh\n# no\n```\n"
  expect([...anchorsOf(page)]).toEqual([
    'a-quote-above-the-ceiling',
    'litellms-configyaml',
    'callers',
    'twice',
    'twice-1',
  ])
})
