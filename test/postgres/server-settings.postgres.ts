/** What a ledger asks of its server: settings that keep what is confirmed, its own schema version, and TLS. */
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openPostgresStore } from '../../src/io/store/postgres/store.ts'
import { startPostgres, startStandby, type PostgresServer } from '../kit/postgres.ts'
import { PATIENT } from '../kit/postgres-stores.ts'

let server: PostgresServer
let directory: string

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'tollway-tls-'))
  const key = certificate('server', 'localhost')
  certificate('other', 'localhost')
  server = await startPostgres({ ssl: 'on', ssl_cert_file: join(directory, 'server.crt'), ssl_key_file: key })
})
afterAll(async () => {
  await server.remove()
  rmSync(directory, { recursive: true })
})

/** Makes a certificate that signs itself. @returns its key, which only the server may read */
function certificate(name: string, host: string): string {
  const [key, crt] = [join(directory, `${name}.key`), join(directory, `${name}.crt`)]
  const options = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const subject = ['-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`]
  execFileSync('openssl', ['req', '-x509', ...options, ...subject, '-keyout', key, '-out', crt], {
    stdio: 'pipe',
  })
  chmodSync(key, 0o600)
  if (process.getuid?.() === 0) {
    chmodSync(directory, 0o755)
    chownSync(key, 65_534, 65_534)
  }
  return key
}

/** Opens and closes a ledger. @returns what it warned of */
async function open(parameters = '', host = 'localhost', isExpected = false): Promise<string[]> {
  const warnings: string[] = []
  const address = server.address('postgres', parameters).replace('127.0.0.1', host)
  const onWarning = (warning: string): void => void warnings.push(warning)
  await (await openPostgresStore({ address, waits: PATIENT, isExpected, onWarning })).close()
  return warnings
}

function set(setting: string, value: string): void {
  server.sql(`ALTER SYSTEM SET ${setting} = ${value}`)
  server.sql('SELECT pg_reload_conf()')
}

test.each(['fsync', 'full_page_writes', 'synchronous_commit'])(
  'a server with %s off is refused, with what to set',
  async (setting) => {
    set(setting, 'off')
    await expect.poll(() => open().then(() => 'opened', String)).toContain(`${setting} is off`)
    set(setting, 'on')
    await expect.poll(() => open().then(() => 'opened', String)).toBe('opened')
  },
)

test('standbys that are not waited for are warned of, also where only synchronous_commit is local', async () => {
  const standby = await startStandby(server)
  try {
    await expect.poll(() => server.sql('SELECT count(*) FROM pg_stat_replication')).toBe('1')
    expect((await open()).join()).toMatch(/does not wait for them: a failover can lose/)
    set('synchronous_standby_names', "'*'")
    await expect.poll(() => open()).toEqual([])
    set('synchronous_commit', 'local')
    await expect.poll(async () => (await open()).join()).toMatch(/synchronous_commit to on or remote_apply/)
  } finally {
    set('synchronous_commit', "'on'")
    set('synchronous_standby_names', "''")
    await standby.remove()
  }
})

test('a ledger of a newer Tollway is refused by gateways and commands, and an older one by commands', async () => {
  await open('?schema=versions')
  server.sql('UPDATE versions.ledger SET version = version + 1')
  const newer = /written by a newer Tollway .*a ledger is never migrated back/
  await expect(open('?schema=versions')).rejects.toThrow(newer)
  await expect(open('?schema=versions', undefined, true)).rejects.toThrow(newer)
  server.sql('UPDATE versions.ledger SET version = version - 2')
  await expect(open('?schema=versions', undefined, true)).rejects.toThrow(/Start this version's gateway/)
  await expect(open('?schema=nothing_there', undefined, true)).rejects.toThrow(/There is no ledger/)
})

test('sslmode: require encrypts, verify-ca and verify-full check who answers', async () => {
  const ca = `&sslrootcert=${join(directory, 'server.crt')}`
  const wrongCa = `&sslrootcert=${join(directory, 'other.crt')}`
  await open('?sslmode=require')
  await open(`?sslmode=verify-ca${ca}`, '127.0.0.1')
  await open(`?sslmode=verify-full${ca}`)
  for (const [parameters, host] of [
    ['?sslmode=verify-full', 'localhost'],
    [`?sslmode=verify-full${wrongCa}`, 'localhost'],
    [`?sslmode=verify-ca${wrongCa}`, 'localhost'],
    [`?sslmode=verify-full${ca}`, '127.0.0.1'],
  ] as const) {
    await expect(open(parameters, host)).rejects.toMatchObject({ code: 'store_unavailable' })
  }
  expect(readFileSync(join(server.directory, 'postgresql.auto.conf'), 'utf8')).toContain("ssl = 'on'")
})

test('a server that takes only encrypted connections refuses sslmode=disable, and the others are encrypted', async () => {
  const file = join(server.directory, 'pg_hba.conf')
  execFileSync('sed', ['-i', 's/^host /hostssl /', file])
  server.sql('SELECT 1', 'postgres')
  server.sql('SELECT pg_reload_conf()')
  await expect
    .poll(() =>
      open('?sslmode=disable').then(
        () => 'opened',
        (error: unknown) => (error as { code?: string }).code,
      ),
    )
    .toBe('store_unavailable')
  await open('?sslmode=require')
})
