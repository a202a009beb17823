/**
 * `npm run bench -- postgres`: reservations a second on a Postgres ledger, beside what pgbench does with one durable commit on the
 * same disk. Replicas are processes; server, replicas and pgbench share the machine's cores. Ends by itself in about two minutes. The CPU times are read from /proc, which Linux has.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { counted } from '../../src/core/budget/budget.ts'
import { renderTable } from '../../src/app/cli/output/table.ts'
import { openPostgresStore } from '../../src/io/store/postgres/store.ts'
import { claim } from '../../src/testing/store/samples.ts'
import { postgresPrograms, startPostgres, type PostgresServer } from '../../test/kit/postgres.ts'
import type { ReplicaResult, ReplicaTask } from './task.ts'

const SECONDS = 5
/** Calls at once, over all replicas. */
const CLIENTS = 256
const FEW_CLIENTS = 32

interface Lane extends Pick<ReplicaTask, 'isHot' | 'isPaid'> {
  readonly replicas: number
  readonly clients: number
}

const LANES: readonly Lane[] = [
  { replicas: 1, clients: FEW_CLIENTS, isHot: true, isPaid: false },
  ...[true, false].flatMap((isHot) =>
    [1, 2, 4].map((replicas) => ({ replicas, clients: CLIENTS, isHot, isPaid: false })),
  ),
  ...[1, 4].map((replicas) => ({ replicas, clients: CLIENTS, isHot: true, isPaid: true })),
]

/** Measures, and tells the figures. @throws Error when the ledger holds another sum than was reserved */
export async function measurePostgres(): Promise<string> {
  const server = await startPostgres({ shared_buffers: '128MB' })
  try {
    const rows: string[][] = []
    for (const clients of [1, FEW_CLIENTS]) {
      const figure = pgbench(server, clients)
      rows.push(['pgbench: one row, one durable commit', `${clients}`, figure, '', '', '', ''])
    }
    for (const [run, lane] of LANES.entries()) {
      console.error(`${nameOf(lane)} ...`)
      rows.push(await measure(server, server.address('postgres', `?schema=bench_${run}`), lane))
    }
    return renderTable(
      ['WHAT', 'AT ONCE', 'A SECOND', 'P50 MS', 'P99 MS', 'CPU OF REPLICAS EACH, µs', 'OF POSTGRES, µs'],
      rows,
    )
  } finally {
    await server.remove()
  }
}

function nameOf({ replicas, isHot, isPaid }: Lane): string {
  const what = isPaid ? 'payments (reserve, record, settle)' : 'reservations'
  return `${what}, ${replicas} ${replicas === 1 ? 'replica' : 'replicas'}, ${isHot ? 'one budget' : 'a budget per call at a time'}`
}

async function measure(server: PostgresServer, address: string, lane: Lane): Promise<string[]> {
  const { replicas, isHot, isPaid } = lane
  const clients = lane.clients / replicas
  const tasks = Array.from({ length: replicas }, (_, replica): ReplicaTask => {
    return { address, replica, clients, seconds: SECONDS, isHot, isPaid }
  })
  const started = await Promise.all(tasks.map(startReplica))
  const before = serverCpuMs(server)
  const results = await Promise.all(started.map((begin) => begin()))
  const serverMs = serverCpuMs(server) - before
  const sum = (pick: (one: ReplicaResult) => number): number =>
    results.reduce((total, one) => total + pick(one), 0)
  const calls = sum(({ reservations }) => reservations)
  if (isHot) await checkSum(address, calls)
  const worst = (pick: (one: ReplicaResult) => number): string => Math.max(...results.map(pick)).toFixed(1)
  return [
    nameOf(lane),
    `${lane.clients}`,
    (calls / SECONDS).toFixed(0),
    worst(({ p50 }) => p50),
    worst(({ p99 }) => p99),
    ((sum(({ cpuMs }) => cpuMs) / calls) * 1000).toFixed(0),
    ((serverMs / calls) * 1000).toFixed(0),
  ]
}

/** What the server's processes have used, milliseconds; those that ended are counted with their parent. */
function serverCpuMs({ directory }: PostgresServer): number {
  const [first = ''] = readFileSync(join(directory, 'postmaster.pid'), 'utf8').split('\n')
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .reduce((sum, pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
        if (pid !== first && fields[1] !== first) return sum
        // utime and stime, in hundredths of a second; of the parent those of ended children too.
        const own = Number(fields[11]) + Number(fields[12])
        return sum + 10 * (pid === first ? own + Number(fields[13]) + Number(fields[14]) : own)
      } catch {
        return sum
      }
    }, 0)
}

/** @returns lets it begin, and resolves with what it measured */
async function startReplica(task: ReplicaTask): Promise<() => Promise<ReplicaResult>> {
  const script = new URL('replica.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [script, JSON.stringify(task)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })
  await once(lines, 'line')
  return async () => {
    child.stdin.write('go\n')
    const [line] = (await once(lines, 'line')) as [string]
    return JSON.parse(line) as ReplicaResult
  }
}

async function checkSum(address: string, reservations: number): Promise<void> {
  const store = await openPostgresStore({ address })
  try {
    const [totals] = await store.totals([claim(0n, 0n, { budget: 'bench', subject: '*' })])
    if (totals && counted(totals) === BigInt(reservations)) return
    throw new Error(`the budget does not hold the ${reservations} atoms that were reserved`)
  } finally {
    await store.close()
  }
}

function pgbench(server: PostgresServer, clients: number): string {
  server.sql('DROP TABLE IF EXISTS one; CREATE TABLE one (n bigint); INSERT INTO one VALUES (0)')
  const script = join(server.directory, '..', 'one.sql')
  writeFileSync(script, 'UPDATE one SET n = n + 1;\n')
  const out = execFileSync(
    join(postgresPrograms(), 'pgbench'),
    [
      '-n',
      '-h',
      '127.0.0.1',
      '-p',
      String(server.port),
      '-U',
      'tollway',
      '-T',
      String(SECONDS),
      '-c',
      String(clients),
      '-j',
      '1',
      '-f',
      script,
      'postgres',
    ],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
  )
  return Number(/tps = ([\d.]+)/.exec(out)?.[1]).toFixed(0)
}
