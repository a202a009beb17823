/** A real Postgres server of the test's own, from the binaries of the system. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { freePort } from './free-port.ts'

/** `nobody`: Postgres refuses to run as root. */
const NOBODY = 65_534
const ADMIN = 'tollway'

/** A running server. */
export interface PostgresServer {
  readonly port: number
  /** Where its files are. */
  readonly directory: string
  /** The address of a database of this server. */
  address(database?: string, parameters?: string): string
  /** Makes an empty database and gives its address. */
  create(database: string): string
  /** Runs a statement as psql does; gives what it prints. */
  sql(statement: string, database?: string): string
  /** Ends it as a lost machine does. */
  kill(): Promise<void>
  /** Starts it again on the same files. */
  start(): Promise<void>
  /** Ends it and removes its files. */
  remove(): Promise<void>
}

/**
 * Where the server's programs are.
 * @throws Error naming the fix: what is tested against Postgres is never left out without a word
 */
export function postgresPrograms(): string {
  const debian = '/usr/lib/postgresql'
  const versions = existsSync(debian) ? readdirSync(debian) : []
  const newest = versions.toSorted((a, b) => Number(b) - Number(a))
  const places = [process.env['POSTGRES_BIN'] ?? '', ...newest.map((version) => join(debian, version, 'bin'))]
  const found = places.find((place) => place !== '' && existsSync(join(place, 'initdb')))
  if (found === undefined) {
    throw new Error(
      'Postgres is not installed: run npm run setup:test, or name the directory of initdb in POSTGRES_BIN.',
    )
  }
  return found
}

/** Makes and starts a server that waits for the disk at each commit, on a free port of the loopback address. */
export async function startPostgres(
  settings: Readonly<Record<string, string>> = {},
): Promise<PostgresServer> {
  const place = makePlace()
  const options = ['-U', ADMIN, '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync', '--no-instructions']
  place.run('initdb', ['-D', place.directory, ...options])
  return await serve(place, { max_connections: '60', shared_buffers: '32MB', ...settings })
}

/** Copies a running server and follows it as a standby, until `SELECT pg_promote()` is run on it. */
export async function startStandby(primary: PostgresServer): Promise<PostgresServer> {
  const place = makePlace()
  const from = ['-h', '127.0.0.1', '-p', String(primary.port), '-U', ADMIN]
  place.run('pg_basebackup', [
    '-D',
    place.directory,
    ...from,
    '-R',
    '-X',
    'stream',
    '-c',
    'fast',
    '--no-sync',
  ])
  return await serve(place, {})
}

interface Place {
  readonly base: string
  readonly directory: string
  readonly as: { readonly uid?: number; readonly gid?: number }
  /** Runs a program as the user that the server runs as. */
  run(program: string, args: readonly string[]): void
}

function makePlace(): Place {
  const programs = postgresPrograms()
  const base = mkdtempSync(join(tmpdir(), 'tollway-postgres-'))
  const directory = join(base, 'data')
  mkdirSync(directory, { mode: 0o700 })
  const isRoot = process.getuid?.() === 0
  const as = isRoot ? { uid: NOBODY, gid: NOBODY } : {}
  if (isRoot) {
    for (const path of [base, directory]) chownSync(path, NOBODY, NOBODY)
    // A run keeps its files in a directory that only root may pass through.
    chmodSync(dirname(base), statSync(dirname(base)).mode | 0o011)
  }
  return {
    base,
    directory,
    as,
    run: (program, args) =>
      void execFileSync(join(programs, program), args, { ...as, cwd: base, stdio: 'pipe' }),
  }
}

async function serve(
  { base, directory, as }: Place,
  settings: Readonly<Record<string, string>>,
): Promise<PostgresServer> {
  const programs = postgresPrograms()
  const port = await freePort()
  const all = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: base,
    ...settings,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name} = '${value}'`)
  // Of a setting that is there twice, the last one counts.
  appendFileSync(join(directory, 'postgresql.auto.conf'), `${lines.join('\n')}\n`)
  let server: ChildProcess | undefined

  const start = async (): Promise<void> => {
    const child = spawn(join(programs, 'postgres'), ['-D', directory], { ...as, cwd: base, stdio: 'pipe' })
    server = child
    let said = ''
    await new Promise<void>((resolve, reject) => {
      child.stderr?.on('data', (data: Buffer) => {
        said += data.toString()
        if (said.includes('database system is ready to accept')) resolve()
      })
      child.once('exit', () => reject(new Error(`Postgres ended: ${said}`)))
    })
    child.stderr?.removeAllListeners('data').resume()
  }
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const child = server
    server = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }
  await start()
  const address = (database = 'postgres', parameters = ''): string =>
    `postgres://${ADMIN}@127.0.0.1:${port}/${database}${parameters}`
  const sql = (statement: string, database = 'postgres'): string =>
    execFileSync(
      join(programs, 'psql'),
      [
        '-h',
        '127.0.0.1',
        '-p',
        String(port),
        '-U',
        ADMIN,
        '-d',
        database,
        '-qAtX',
        '-v',
        'ON_ERROR_STOP=1',
        '-c',
        statement,
      ],
      { encoding: 'utf8', stdio: 'pipe' },
    ).trim()
  return {
    port,
    directory,
    address,
    sql,
    create: (database) => {
      sql(`CREATE DATABASE ${database}`)
      return address(database)
    },
    // The server's own children end when they notice; SIGQUIT makes them at once, without a checkpoint.
    kill: () => end('SIGQUIT'),
    start,
    remove: async () => {
      await end('SIGQUIT')
      rmSync(base, { recursive: true, force: true })
    },
  }
}
