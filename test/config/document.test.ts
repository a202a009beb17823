import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/app/config/load.ts'
import { configFile, FULL, load, mistakesOf, problemsIn, temporaryDirectory } from './config-file.ts'

describe('a file that is no usable YAML', () => {
  const cases: Record<string, [text: string, expected: string[]]> = {
    'an empty file': ['', [': is empty. `tollway check --help` shows a small working file.']],
    'only comments': ['# later\n', [': is empty. `tollway check --help` shows a small working file.']],
    'a list at the top': [
      '- listen: 127.0.0.1:8402\n',
      [': must have keys and values at its top level, such as `listen: 127.0.0.1:8402`.'],
    ],
    'a lone word': [
      'hello\n',
      [': must have keys and values at its top level, such as `listen: 127.0.0.1:8402`.'],
    ],
    'a repeated key': [
      'store: memory\nlisten: 127.0.0.1:1\nstore: memory\n',
      ['3:1 : repeats a key of the same mapping. Keep one of the two.'],
    ],
    'a repeated key in braces': [
      'audit: { path: a, path: b }\n',
      ['1:19 : repeats a key of the same mapping. Keep one of the two.'],
    ],
    'a tab': ['audit:\n\tpath: x\n', ['2:1 : is indented with a tab. YAML takes spaces only.']],
    'two documents': [
      'store: memory\n---\nstore: memory\n',
      ['2:1 : begins a second document (---). Keep one document in the file.'],
    ],
    'an alias without its anchor': [
      'store: *nowhere\n',
      [
        '1:8 : refers to an anchor (&name) that is not defined above it. Define it, or put the value in quotes.',
      ],
    ],
    'a tag': [
      'store: !secret abc\n',
      ['1:8 : uses a YAML tag (!name). Remove the tag, or put the value in quotes.'],
    ],
    'a key that is a mapping': [
      '? {a: 1}\n: 2\n',
      ['1:3 : has a key that is not plain text. Put it in quotes.'],
    ],
    'an open quote': [
      'store: "memory\n',
      ['2:1 : misses a quote, a bracket, a comma or the space after a colon, here or in a line above.'],
    ],
    'a bad escape': [
      'store: "mem\\qry"\n',
      ['1:12 : has an unknown \\ escape inside double quotes. Use single quotes.'],
    ],
    'a reserved character': [
      'store: @memory\n',
      ['1:8 : begins with a character that YAML reserves. Put the value in quotes.'],
    ],
    'a merge key': [
      'audit: &a { path: x }\nstream:\n  <<: *a\n',
      ['3:3 stream["<<"]: is a YAML merge key, which is not supported. Write the values out.'],
    ],
  }
  for (const [name, [text, expected]] of Object.entries(cases)) {
    it(`is refused for ${name}`, () => {
      expect(mistakesOf(text)).toEqual(expected)
    })
  }

  it('is told to quote references, which YAML reads as braces inside a flow mapping', () => {
    expect(mistakesOf('upstream: { api_base: ${env:BASE} }\n')[0]).toBe(
      '1:24 : is not valid YAML. Put references in quotes: "${env:NAME}".',
    )
  })

  it('stops aliases of aliases before they fill the memory', () => {
    const levels = Array.from({ length: 12 }, (_, level) => {
      const list = level === 0 ? 'x' : Array.from({ length: 9 }, () => `*l${level - 1}`).join(', ')
      return `l${level}: &l${level} [${list}]`
    })
    expect(mistakesOf(`${levels.join('\n')}\n`)).toEqual([
      ': uses its anchors more than 100 times. Write the values out.',
    ])
  })

  it('stops a value that holds itself', () => {
    const [first] = mistakesOf('upstream: &a\n  api_base: *a\n')
    expect(first).toContain('is nested too deeply, or holds itself. Write the values out.')
  })

  it('is refused when it is too long to be a configuration', () => {
    expect(mistakesOf(`# ${'x'.repeat(1_100_000)}\n`)).toEqual([
      ': is longer than 1048576 characters. Is it the right file?',
    ])
  })

  it('is refused when it is not UTF-8', () => {
    expect(mistakesOf(Uint8Array.of(0x73, 0xff, 0xfe))).toEqual([': is not UTF-8 text. Save it as UTF-8.'])
  })

  it('never repeats the line at fault, which may hold a secret', () => {
    for (const text of [
      'key: "sk-live-123\n',
      'key: sk-live-123: x\n',
      'a: [sk-live-123}\n',
      '@sk-live-123\n',
    ]) {
      expect(mistakesOf(text).join('\n')).not.toContain('sk-live')
    }
  })
})

it('reads anchors that are used with measure', () => {
  const config = load('audit: &same\n  path: &p ./a.jsonl\nstore: memory\n')
  expect(config.audit.path).toMatch(/a\.jsonl$/)
  expect(load('admin: { hosts: [&h gateway.internal, *h] }\n').admin.hosts).toEqual([
    'gateway.internal',
    'gateway.internal',
  ])
})

it('points at the place of an aliased value where the alias is followed', () => {
  expect(mistakesOf('upstream: &u { api_base: "ftp://x" }\naudit: *u\n')).toEqual([
    '1:16 upstream.api_base: must begin with https:// or http://. Write it as https://host/v1.',
    '1:16 audit.api_base: is not a known key here. It belongs under upstream.',
  ])
})

it('reads a file with a byte order mark and Windows line ends', () => {
  expect(load('\uFEFFstore: memory\r\nlisten: 127.0.0.1:0\r\n').store).toBe('memory')
})

it('says where it looked for a file that is not there', () => {
  const path = join(temporaryDirectory(), 'missing.yaml')
  expect(problemsIn(() => loadConfig(path, {}))).toEqual([
    {
      path: '',
      file: path,
      position: undefined,
      message: `there is no such file (looked at ${path}). Make one with \`tollway init\`, or name yours with --config.`,
    },
  ])
})

it('says when the file is a directory', () => {
  const directory = temporaryDirectory()
  expect(() => loadConfig(directory, {})).toThrow(
    `${directory}: is a directory. Name the file in it with --config.`,
  )
})

it('shows the file as it was named', () => {
  const path = configFile(`${FULL}bugdets: []\n`)
  expect(problemsIn(() => loadConfig(path, {})).map(({ file }) => file)).toContain(path)
})
