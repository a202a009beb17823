import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { hashKey } from '../../src/io/callers/hash-key.ts'
import { loadConfig, parseConfig } from '../../src/app/config/load.ts'
import { Variables } from '../../src/core/payer/variables.ts'
import { configFile, mistakesOf, problemsIn, temporaryDirectory } from './config-file.ts'

const PLAIN =
  'holds a secret in plain text, or something that is not one reference. Write "${env:NAME}", "${file:path}" or "${credential:NAME}". ' +
  'If this was a real key, replace it: the file may have been copied.'

const upstream = (fields: Readonly<Record<string, unknown>>): unknown => ({
  upstream: { api_base: 'http://127.0.0.1:1', ...fields },
})

const messagesIn = (input: unknown, env: Readonly<Record<string, string>> = {}, directory = '.'): string[] =>
  problemsIn(() => parseConfig(input, env, { directory })).map(({ path, message }) => `${path}: ${message}`)

const wallet = (key: unknown): unknown => ({ payers: { w: { kind: 'direct', key, networks: ['base'] } } })

describe('a secret', () => {
  const places: Readonly<Record<string, (value: unknown) => unknown>> = {
    'upstream.api_key': (value) => upstream({ api_key: value }),
    'callers[0].key': (value) => ({ callers: [{ id: 'a', key: value }] }),
    'payers.w.key': wallet,
    'model_list[0].api_key': (value) => ({
      model_list: [{ model_name: 'a', api_base: 'http://127.0.0.1:1', api_key: value }],
    }),
    'admin.key': (value) => ({ admin: { key: value } }),
  }
  for (const [path, place] of Object.entries(places)) {
    it(`is refused in plain text at ${path}`, () => {
      for (const value of ['sk-plain', '', 12345, true, ['${env:K}'], { env: 'K' }]) {
        expect(messagesIn(place(value), { K: 'x' })).toEqual([`${path}: ${PLAIN}`])
      }
    })

    it(`is refused when a reference is only a part of it at ${path}`, () => {
      for (const value of [
        'sk-${env:K}',
        '${env:K}${env:K}',
        ' ${env:K}',
        '${env:K}\n',
        '${env:}',
        '${K}',
        '$K',
        '${ENV:K}',
      ]) {
        expect(messagesIn(place(value), { K: 'x' })).toEqual([`${path}: ${PLAIN}`])
      }
    })

    it(`is taken from the environment at ${path}`, () => {
      expect(() => parseConfig(place('${env:K}'), { K: 'abc' })).not.toThrow()
    })

    it(`is missed when its variable is not set at ${path}`, () => {
      expect(messagesIn(place('${env:K}'))).toEqual([
        `${path}: needs the environment variable K, which is not set. Set it before the start.`,
      ])
    })

    it(`is missed when its file is not there at ${path}`, () => {
      const directory = temporaryDirectory()
      expect(messagesIn(place('${file:key}'), {}, directory)).toEqual([
        `${path}: needs the file ${join(directory, 'key')}, which is not there or cannot be read. Relative paths start at the configuration file.`,
      ])
    })
  }

  it('of a wallet stays a reference, and neither its variable nor its file is read', () => {
    const directory = temporaryDirectory()
    mkdirSync(join(directory, 'keys'))
    // Contents that would be refused anywhere else.
    writeFileSync(join(directory, 'keys/wallet'), '', { mode: 0o600 })
    const byFile = parseConfig(wallet('${file:keys/wallet}'), {}, { directory }).payers.get('w')
    expect(byFile).toMatchObject({ key: { source: 'file', path: join(directory, 'keys/wallet') } })
    expect(parseConfig(wallet('${env:K}'), { K: '' }).payers.get('w')).toMatchObject({
      key: { source: 'env', name: 'K', variables: expect.any(Variables) },
    })
  })

  it('of an API with blanks or umlauts inside is refused, since no header carries it', () => {
    for (const value of ['a b', 'a\nb', 'schlüssel']) {
      expect(messagesIn(upstream({ api_key: '${env:K}' }), { K: value })).toEqual([
        'upstream.api_key: resolves to text with blanks or non-ASCII characters, which no header carries.',
      ])
    }
  })

  it('is never found on the prototype of the environment', () => {
    expect(messagesIn(upstream({ api_key: '${env:constructor}' }))).toEqual([
      'upstream.api_key: needs the environment variable constructor, which is not set. Set it before the start.',
    ])
  })

  it('from an empty variable is refused', () => {
    expect(messagesIn(upstream({ api_key: '${env:K}' }), { K: '' })).toEqual([
      'upstream.api_key: needs the environment variable K, which is empty. Give it a value.',
    ])
  })
})

/** A directory with a file `key` in it. */
const fileWith = (content: string, mode = 0o600): string => {
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'key'), content)
  chmodSync(join(directory, 'key'), mode)
  return directory
}
describe('a secret file', () => {
  const input = { callers: [{ id: 'a', key: '${file:./key}' }] }

  it('counts from the directory of the configuration, without its last line end', () => {
    for (const content of ['top-secret', 'top-secret\n', 'top-secret\r\n']) {
      const path = configFile('callers: [{ id: a, key: "${file:./key}" }]\n', fileWith(content))
      expect(loadConfig(path, {}).callers[0]?.keyDigest).toBe(hashKey('top-secret'))
    }
  })

  it('may be read by the group, never by everybody', () => {
    const shared = fileWith('top-secret', 0o640)
    expect(parseConfig(input, {}, { directory: shared }).callers).toHaveLength(1)
    const open = fileWith('top-secret', 0o644)
    const file = join(open, 'key')
    expect(messagesIn(input, {}, open)).toEqual([
      `callers[0].key: needs the file ${file}, which every user on this machine may read. Run: chmod o-rwx ${file}`,
    ])
  })

  it('is refused when it is empty, too long or a directory', () => {
    expect(messagesIn(input, {}, fileWith('\n'))[0]).toContain('which is empty. Put the secret in it.')
    expect(messagesIn(input, {}, fileWith('x'.repeat(70_000)))[0]).toContain('which is over 65536 bytes.')
    const directory = temporaryDirectory()
    mkdirSync(join(directory, 'key'))
    expect(messagesIn(input, {}, directory)[0]).toContain('which is not there or cannot be read.')
  })
})

describe('a reference inside a text', () => {
  it('is replaced, several times if need be', () => {
    const config = parseConfig(upstream({ api_base: 'https://${env:HOST}:${env:PORT}/v1' }), {
      HOST: 'a.example',
      PORT: '8443',
    })
    expect(config.upstream?.apiBase).toBe('https://a.example:8443/v1')
  })

  it('yields text in which no further reference is looked for', () => {
    expect(
      messagesIn(upstream({ api_base: '${env:A}' }), { A: '${env:B}', B: 'http://127.0.0.1:1' }),
    ).toEqual(['upstream.api_base: is not a URL. Write it as https://host/v1.'])
  })

  it('is refused when it is malformed', () => {
    for (const text of ['http://${HOST}/', 'http://${env:A', 'http://${vault:x}/', 'http://${env:A}/${']) {
      expect(messagesIn(upstream({ api_base: text }), { A: 'a' })).toEqual([
        'upstream.api_base: has a ${ that begins no reference. Write "${env:NAME}", "${file:path}" or "${credential:NAME}".',
      ])
    }
    for (const text of ['http://${env:}/', 'http://${env:1A}/', 'http://${file: }/']) {
      expect(messagesIn(upstream({ api_base: text }))).toEqual([
        'upstream.api_base: has a reference without a usable name. Write "${env:NAME}", "${file:path}" or "${credential:NAME}".',
      ])
    }
  })

  it('is missed by line when its variable is not set', () => {
    expect(mistakesOf('store: memory\nupstream:\n  api_base: https://${env:HOST}/v1\n')).toEqual([
      '3:3 upstream.api_base: needs the environment variable HOST, which is not set. Set it before the start.',
    ])
  })

  it('leaves a lone dollar sign alone', () => {
    expect(parseConfig({ audit: { path: './$x{y}.jsonl' } }, {}, { directory: '/d' }).audit.path).toBe(
      '/d/$x{y}.jsonl',
    )
  })
})

describe('a credential of the service', () => {
  let directory = ''
  beforeEach(() => {
    directory = temporaryDirectory()
  })
  const place = (name: string, text: string, mode = 0o400): void => {
    const path = join(directory, name)
    writeFileSync(path, text)
    chmodSync(path, mode)
  }
  const env = (): Record<string, string> => ({ CREDENTIALS_DIRECTORY: directory })

  it('is read wherever a reference may stand, also inside another text', () => {
    place('upstream-key', 'sk-1\n')
    place('host.name', 'example.com', 0o440)
    const config = parseConfig(
      { upstream: { api_base: 'https://${credential:host.name}/v1', api_key: '${credential:upstream-key}' } },
      env(),
    )
    expect(config.upstream).toMatchObject({ apiBase: 'https://example.com/v1', apiKey: 'sk-1' })
    expect(parseConfig({ admin: { key: '${credential:upstream-key}' } }, env()).admin.keyDigest).toBe(
      hashKey('sk-1'),
    )
    const callers = parseConfig({ callers: [{ id: 'a', key: '${credential:upstream-key}' }] }, env()).callers
    expect(callers[0]?.keyDigest).toBe(hashKey('sk-1'))
  })

  it("is a payer's key by its name alone: the text is not read here", () => {
    place('wallet-key', 'no key at all')
    const { payers } = parseConfig(wallet('${credential:wallet-key}'), env())
    expect(JSON.stringify([...payers.values()])).toContain(
      '{"source":"credential","name":"wallet-key","variables":{}}',
    )
  })

  it.each([
    ['../secret'],
    ['/etc/shadow'],
    ['a/b'],
    ['.hidden'],
    [''],
    [' '],
    ['a b'],
    ['a\u0000b'],
    ['x'.repeat(256)],
  ])('is never a path or another strange name: %j', (name) => {
    expect(messagesIn(wallet(`\${credential:${name}}`), env())).toEqual([`payers.w.key: ${PLAIN}`])
    expect(messagesIn(upstream({ api_key: `\${credential:${name}}` }), env())).toEqual([
      `upstream.api_key: ${PLAIN}`,
    ])
  })

  it.each([
    ['upstream.api_key', (value: string) => upstream({ api_key: value })],
    ['payers.w.key', wallet],
  ])('that is missing is told with what to do: %s', (path, make) => {
    expect(messagesIn(make('${credential:none}'))).toEqual([
      `${path}: needs the credential none, but this process was given none: CREDENTIALS_DIRECTORY is not set. Add LoadCredential=none:/path/of/the/file to the service's unit, or start it with systemd-run -p LoadCredential=….`,
    ])
    expect(messagesIn(make('${credential:none}'), env())[0]).toContain(
      `needs the file ${join(directory, 'none')}`,
    )
    expect(messagesIn(make('${credential:none}'), { CREDENTIALS_DIRECTORY: 'run/x' })[0]).toContain(
      'CREDENTIALS_DIRECTORY is not an absolute path',
    )
  })
})
