/** Where a Postgres ledger is: `postgres://user:password@host:port/database?sslmode=verify-full&schema=tollway&pool_max=10`. */
import { readFileSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { ConfigError } from '../../../../core/errors.ts'

/** The address of a Postgres ledger, taken apart. */
export interface PostgresAddress {
  /** A name, an address, or the directory of a Unix socket. */
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  readonly password: string | undefined
  /** `undefined`: unencrypted. */
  readonly tls: ConnectionOptions | undefined
  /** The schema that the ledger's tables are in. */
  readonly schema: string
  /** The most connections of this process, 2 to 100. */
  readonly poolSize: number
}

/** Whether a store is named that is a Postgres database. */
export function isPostgres(spec: string): boolean {
  return /^postgres(?:ql)?:/.test(spec)
}

/** Whether an address as it is written in a file holds a password, and not a reference to one. */
export function hasPlainPassword(written: string): boolean {
  const password = isPostgres(written) ? /^[a-z]+:\/\/[^@/]*?:(.*)@/.exec(written)?.[1] : undefined
  return password !== undefined && password !== '' && !password.includes('${')
}

const MODES = ['disable', 'require', 'verify-ca', 'verify-full'] as const
const PARAMETERS = ['sslmode', 'sslrootcert', 'schema', 'pool_max', 'host']
const DEFAULT_POOL = 10
const MAX_POOL = 100

/**
 * Takes an address apart.
 * @throws ConfigError naming the mistake, never a part of the address that may hold a password
 */
export function parseAddress(spec: string): PostgresAddress {
  const url = URL.parse(spec)
  if (!url || !isPostgres(url.protocol)) {
    throw wrong('is not an address. Write postgres://user:password@host:5432/database')
  }
  for (const name of url.searchParams.keys()) {
    if (!PARAMETERS.includes(name)) {
      throw wrong(`has a parameter that does not exist here; there are ${PARAMETERS.join(', ')}`)
    }
  }
  const parameter = (name: string): string | undefined => url.searchParams.get(name) ?? undefined
  const host = parameter('host') ?? decoded(url.hostname.replace(/^\[|\]$/g, ''))
  const database = decoded(url.pathname.slice(1))
  if (host === '') throw wrong('names no host')
  if (database === '') throw wrong('names no database')
  if (url.username === '') throw wrong('names no user')
  const schema = parameter('schema') ?? 'public'
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) {
    throw wrong('has a schema that is no plain name: use lower-case letters, digits and _')
  }
  const poolSize = Number(parameter('pool_max') ?? DEFAULT_POOL)
  if (!Number.isInteger(poolSize) || poolSize < 2 || poolSize > MAX_POOL) {
    throw wrong(`has a pool_max that is no whole number from 2 to ${MAX_POOL}`)
  }
  return {
    host,
    port: url.port === '' ? 5432 : Number(url.port),
    database,
    user: decoded(url.username),
    password: url.password === '' ? undefined : decoded(url.password),
    tls: tlsOf(parameter('sslmode'), parameter('sslrootcert'), host),
    schema,
    poolSize,
  }
}

/** An address that may be shown: without its password. */
export function shownAddress({ host, port, database, schema }: PostgresAddress): string {
  return `postgres://${host}:${port}/${database}${schema === 'public' ? '' : `?schema=${schema}`}`
}

/** As libpq names them, but that nothing is sent unencrypted over a network by default. */
function tlsOf(
  given: string | undefined,
  rootFile: string | undefined,
  host: string,
): ConnectionOptions | undefined {
  const mode = given ?? (isThisMachine(host) ? 'disable' : 'verify-full')
  const known = MODES.find((name) => name === mode)
  if (!known) throw wrong(`has an sslmode that does not exist here; there are ${MODES.join(', ')}`)
  if (known === 'disable') return undefined
  if (known === 'require') return { rejectUnauthorized: false }
  return {
    rejectUnauthorized: true,
    ...(rootFile === undefined ? {} : { ca: certificate(rootFile) }),
    ...(known === 'verify-ca' ? { checkServerIdentity: () => undefined } : { servername: host }),
  }
}

function certificate(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    throw wrong('has an sslrootcert that cannot be read')
  }
}

function isThisMachine(host: string): boolean {
  return (
    host.startsWith('/') ||
    host === 'localhost' ||
    host === '::1' ||
    (isIPv4(host) && host.startsWith('127.'))
  )
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw wrong('has a % that encodes nothing: write %25 for a % of a password')
  }
}

function wrong(what: string): ConfigError {
  return new ConfigError(`store: the Postgres address ${what}.`)
}
