/** The address of a Postgres ledger. No server is needed for it: what needs one is in test/postgres. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { parseConfig } from '../../src/app/config/load.ts'
import { blocksOf } from '../kit/markdown.ts'
import { hasPlainPassword, parseAddress, shownAddress } from '../../src/io/store/postgres/database/address.ts'

describe('the address of a Postgres ledger', () => {
  test('is taken apart, with what is left out at its default', () => {
    expect(parseAddress('postgres://me:p%40ss@[::1]/books')).toEqual({
      host: '::1',
      port: 5432,
      database: 'books',
      user: 'me',
      password: 'p@ss',
      tls: undefined,
      schema: 'public',
      poolSize: 10,
    })
    expect(parseAddress('postgresql://me@db:6432/books?schema=pay&pool_max=4&sslmode=disable')).toMatchObject(
      {
        host: 'db',
        port: 6432,
        password: undefined,
        schema: 'pay',
        poolSize: 4,
      },
    )
    expect(parseAddress('postgres://me@x/books?host=/run/postgresql')).toMatchObject({
      host: '/run/postgresql',
      tls: undefined,
    })
  })

  test('asks for a verified certificate on every host but this machine, if nothing else is said', () => {
    const tls = (more: string): unknown => parseAddress(`postgres://me@db/x${more}`).tls
    expect(tls('')).toMatchObject({ rejectUnauthorized: true, servername: 'db' })
    expect(tls('?sslmode=verify-full')).toMatchObject({ rejectUnauthorized: true, servername: 'db' })
    expect(tls('?sslmode=verify-ca')).toMatchObject({ rejectUnauthorized: true })
    expect(tls('?sslmode=require')).toEqual({ rejectUnauthorized: false })
    expect(tls('?sslmode=disable')).toBeUndefined()
    expect(parseAddress('postgres://me@127.0.0.1/x').tls).toBeUndefined()
    // A name that begins like this machine's address is anybody's.
    expect(parseAddress('postgres://me@127.0.0.1.example.com/x').tls).toMatchObject({
      rejectUnauthorized: true,
    })
  })

  test.each([
    ['postgres:///x?host=', /names no host/],
    ['postgres://me@db/', /names no database/],
    ['postgres://db/x', /names no user/],
    ['postgres://me@db/x?sslmode=prefer', /sslmode that does not exist here; there are disable, require/],
    ['postgres://me@db/x?schema=A;', /no plain name/],
    ['postgres://me@db/x?pool_max=1', /no whole number from 2 to 100/],
    ['postgres://me@db/x?pool_max=1e9', /no whole number from 2 to 100/],
    ['postgres://me:%zz@db/x', /write %25/],
    ['postgres://me:hunter2@db/x?sslrootcert=/no/such&sslmode=verify-ca', /sslrootcert that cannot be read/],
    ['postgres://me:hunter2@db:port/x', /is not an address/],
  ])('refuses %s with what is wrong, and never repeats it', (spec, fault) => {
    const attempt = (): unknown => parseAddress(spec)
    expect(attempt).toThrow(fault)
    expect(attempt).not.toThrow(/hunter2/)
  })

  test('is shown without user and password', () => {
    expect(shownAddress(parseAddress('postgres://me:hunter2@db/x?schema=pay'))).toBe(
      'postgres://db:5432/x?schema=pay',
    )
  })

  test('holds a plain password only where it is no reference', () => {
    const plain = ['postgres://me:hunter2@db/x', 'postgresql://me:a@b@db/x']
    const safe = [
      'postgres://me@db/x',
      'postgres://me:${env:PASSWORD}@db/x',
      '${env:DATABASE_URL}',
      'sqlite:./a:b@c',
    ]
    expect(plain.map(hasPlainPassword)).toEqual([true, true])
    expect(safe.map(hasPlainPassword)).toEqual([false, false, false, false])
  })
})

describe('a Postgres ledger in the configuration', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/scale.md'), 'utf8')
  const documented = parse(blocksOf(page).find(({ marker }) => marker === 'store')?.text ?? '') as object

  test('is read as docs/scale.md writes it, with the password from the environment', () => {
    const { store } = parseConfig(documented, { LEDGER_PASSWORD: 'hunter2' })
    expect(store).toContain('tollway:hunter2@db.internal')
    expect(parseAddress(store)).toMatchObject({ host: 'db.internal', schema: 'public', poolSize: 10 })
  })

  test('has the same fingerprint with another password, and another one for another store', () => {
    const hash = (env: Record<string, string>, config: object = documented): string =>
      parseConfig(config, env).fingerprint.hash
    const one = hash({ LEDGER_PASSWORD: 'hunter2' })
    expect(hash({ LEDGER_PASSWORD: 'other' })).toBe(one)
    expect(hash({}, { ...documented, store: 'sqlite:./tollway.db' })).not.toBe(one)
  })

  test('keeps no password in the file', () => {
    const plain = { ...documented, store: 'postgres://tollway:hunter2@db.internal/tollway' }
    const attempt = (): unknown => parseConfig(plain, {})
    expect(attempt).toThrow(/store: holds a secret in plain text/)
    expect(attempt).not.toThrow(/hunter2/)
  })
})
