/**
 * `npm run bench -- postgres`: reservations a second on a Postgres ledger, beside what pgbench does with one durable commit on the
 * same disk. Replicas are processes; server, replicas and pgbench share the machine's cores. Ends by itself in about a minute.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { counted } from '../../src/core/budget/budget.ts'
import { renderTable } from '../../src/app/cli/output/table.ts'
import { openPostgresStore } from '../../src/io/store/postgres/store.ts'
import { claim } from '../../src/testing/store/samples.ts'
import { postgresPrograms, startPostgres, type PostgresServer } from '../../test/kit/postgres.ts'
import type { ReplicaResult, ReplicaTask } from './task.ts'

const SECONDS = 5
/** Reservations at once, over all replicas. */
const CLIENTS = 32

/** Measures, and tells the figures. @throws Error when the ledger holds another sum than was reserved */
export async function measurePostgres(): Promise<string> {
  const server = await startPostgres({ shared_buffers: '128MB' })
  try {
    const rows: string[][] = []
    for (const clients of [1, CLIENTS]) {
      rows.push([
        'pgbench: one row, one durable commit',
        `${clients} clients`,
        pgbench(server, clients),
        '',
        '',
      ])
    }
    let run = 0
    for (const isHot of [true, false]) {
      for (const replicas of [1, 2, 4]) {
        console.error(`${replicas} replicas on ${isHot ? 'one budget' : 'budgets of their own'} ...`)
        const address = server.address('postgres', `?schema=bench_${(run += 1)}`)
        rows.push(await measure(address, replicas, isHot))
      }
    }
    return renderTable(['RESERVATIONS', 'AT ONCE', 'A SECOND', 'P50 MS', 'P99 MS'], rows)
  } finally {
    await server.remove()
  }
}

async function measure(address: string, replicas: number, isHot: boolean): Promise<string[]> {
  const clients = CLIENTS / replicas
  const tasks = Array.from({ length: replicas }, (_, replica): ReplicaTask => {
    return { address, replica, clients, seconds: SECONDS, isHot }
  })
  const started = await Promise.all(tasks.map(startReplica))
  const results = await Promise.all(started.map((begin) => begin()))
  const reservations = results.reduce((sum, one) => sum + one.reservations, 0)
  if (isHot) await checkSum(address, reservations)
  const worst = (pick: (one: ReplicaResult) => number): string => Math.max(...results.map(pick)).toFixed(1)
  return [
    `${replicas} ${replicas === 1 ? 'replica' : 'replicas'}, ${isHot ? 'one budget' : 'a budget per client'}`,
    `${CLIENTS} clients`,
    (reservations / SECONDS).toFixed(0),
    worst(({ p50 }) => p50),
    worst(({ p99 }) => p99),
  ]
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
