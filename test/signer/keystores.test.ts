import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { decryptKeystore, openKeystore } from '../../src/io/signer/key-keystore.ts'
import { secretOf } from '../../src/io/signer/load-key.ts'
import { KeyFault } from '../../src/io/signer/private-key.ts'
import { keystoreAddress, newKeystore, sealKeystore } from '../../src/io/signer/new-keystore.ts'

const FIXTURES = join(import.meta.dirname, '../fixtures/keystores')
const PASSWORD = 'correct horse'
const KEY = '46'.repeat(32)
const ADDRESS = '0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F'

const folder = mkdtempSync(join(tmpdir(), 'tollway-keystores-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let written = 0
function file(content: string): string {
  const path = join(folder, `${++written}.json`)
  writeFileSync(path, content, { mode: 0o600 })
  return path
}

/** On one line, as those programs write it. */
const fixture = (name: string): string =>
  JSON.stringify(JSON.parse(readFileSync(join(FIXTURES, `${name}.json`), 'utf8')))

function messageOf(open: () => unknown): string {
  try {
    open()
  } catch (error) {
    if (error instanceof KeyFault) return error.message
    throw error
  }
  throw new Error('it opened')
}

/** Each holds {@link KEY}, and was written by that program: go-ethereum 1.17, cast 1.7.1, ethers 6, @ethereumjs/wallet 10. */
describe('opens what others wrote', () => {
  test.each([
    ['geth', PASSWORD],
    ['cast', PASSWORD],
    ['ethers', PASSWORD],
    ['ethereumjs-pbkdf2', PASSWORD],
    ['ethereumjs-dklen-64', PASSWORD],
    ['ethereumjs-utf8-password', 'pässwörd ✓'],
  ])('%s', (name, password) => {
    const path = file(fixture(name))
    expect(Buffer.from(decryptKeystore(path, password)).toString('hex')).toBe(KEY)
    expect(openKeystore(path, password).address).toBe(ADDRESS)
    expect(messageOf(() => openKeystore(path, `${password} `))).toMatch(
      /password is wrong, or the file is damaged/,
    )
  })

  test.each([
    [
      'upper-case hex digits',
      (text: string) => text.replace(/"mac":"\w+"/, (mac) => `"mac":"${mac.slice(7, -1).toUpperCase()}"`),
    ],
    ['hex with 0x', (text: string) => text.replaceAll(/"(mac|iv|salt|ciphertext)":"/g, '"$1":"0x')],
    ['white space', (text: string) => JSON.stringify(JSON.parse(text), null, 4)],
  ])('with %s', (_what, respell) => {
    const respelled = respell(fixture('geth'))
    expect(respelled).not.toBe(fixture('geth'))
    expect(openKeystore(file(respelled), PASSWORD).address).toBe(ADDRESS)
  })
})

test('takes a password beyond ASCII from a file', () => {
  const password = secretOf({ source: 'file', path: file('pässwörd ✓\n') })
  expect(openKeystore(file(fixture('ethereumjs-utf8-password')), password).address).toBe(ADDRESS)
})

test("opens the specification's own examples", () => {
  const examples = JSON.parse(fixture('specification')) as {
    keystore: unknown
    password: string
    key: string
  }[]
  expect(examples).toHaveLength(2)
  for (const { keystore, password, key } of examples) {
    const path = file(JSON.stringify(keystore))
    expect(Buffer.from(decryptKeystore(path, password)).toString('hex')).toBe(key)
  }
})

describe('what it writes', () => {
  test('opens again, has a new key each time, and names its address as geth does', async () => {
    const [one, two] = [newKeystore('ünlikely', 2), newKeystore('ünlikely', 2)]
    expect(one.address).not.toBe(two.address)
    expect(openKeystore(file(one.text), 'ünlikely').address.toLowerCase()).toBe(one.address)
    expect(keystoreAddress(one.text)).toBe(one.address)
    expect(Object.keys(JSON.parse(one.text) as object)).toEqual(
      Object.keys(JSON.parse(fixture('geth')) as object),
    )
  })

  test('differs in salt, vector and id, also for the same key and password', async () => {
    const [one, two] = [sealKeystore(`0x${KEY}`, PASSWORD, 2), sealKeystore(`0x${KEY}`, PASSWORD, 2)]
    const random = (text: string) => text.match(/"(?:iv|salt|id|ciphertext|mac)":"[^"]+"/g)
    expect(random(one.text)).toHaveLength(5)
    for (const part of random(one.text) ?? []) expect(two.text).not.toContain(part)
    expect(one.text).not.toContain(KEY)
  })
})

describe('refuses, with the reason and nothing of the content,', () => {
  const changed = (change: (crypto: Record<string, unknown>) => void, name = 'geth'): string => {
    const keystore = JSON.parse(fixture(name)) as { crypto: Record<string, unknown> }
    change(keystore.crypto)
    return JSON.stringify(keystore)
  }

  test.each<[string, string, RegExp]>([
    [
      'another cipher',
      changed((crypto) => (crypto['cipher'] = 'aes-256-gcm')),
      /encrypted with aes-256-gcm, and only aes-128-ctr/,
    ],
    [
      'another derivation',
      changed((crypto) => (crypto['kdf'] = 'argon2id')),
      /derives its key by argon2id, and only scrypt and pbkdf2/,
    ],
    [
      'another hash',
      changed(
        (crypto) => Object.assign(crypto['kdfparams'] as object, { prf: 'hmac-sha512' }),
        'ethereumjs-pbkdf2',
      ),
      /by pbkdf2 with hmac-sha512/,
    ],
    [
      'a cipher that is no name',
      changed((crypto) => (crypto['cipher'] = KEY.repeat(9))),
      /encrypted with something unknown/,
    ],
    [
      'more memory than any wallet asks for',
      changed((crypto) => Object.assign(crypto['kdfparams'] as object, { n: 2 ** 30 })),
      /damaged/,
    ],
    [
      'a cost that is no power of two',
      changed((crypto) => Object.assign(crypto['kdfparams'] as object, { n: 1000 })),
      /damaged/,
    ],
    [
      'a text for a number',
      changed((crypto) => Object.assign(crypto['kdfparams'] as object, { n: '4096' })),
      /damaged/,
    ],
    [
      'no salt',
      changed((crypto) => delete (crypto['kdfparams'] as Record<string, unknown>)['salt']),
      /damaged/,
    ],
    ['no crypto', '{"version":3}', /only aes-128-ctr is supported/],
    ['a cut file', fixture('geth').slice(0, -1), /damaged/],
    [
      'one changed digit',
      fixture('geth').replace(/("ciphertext":")6/, '$17'),
      /password is wrong, or the file is damaged/,
    ],
    ['another version', fixture('geth').replace('"version":3', '"version":4'), /not a version 3 keystore/],
  ])('%s', (_what, content, expected) => {
    const message = messageOf(() => openKeystore(file(content), PASSWORD))
    expect(message).toMatch(expected)
    expect(message).not.toMatch(/[0-9a-f]{20}|correct|horse/)
  })

  test('a file that others can read', () => {
    const path = file(fixture('geth'))
    chmodSync(path, 0o644)
    expect(messageOf(() => openKeystore(path, PASSWORD))).toMatch(/mode 0644/)
  })
})
