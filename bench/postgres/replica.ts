/** One replica of the bench: reserves (and pays) as fast as it can for a while, and prints what it measured as JSON. */
import type { Claim } from '../../src/core/budget/budget.ts'
import { openPostgresStore } from '../../src/io/store/postgres/store.ts'
import { claim, signed, terms } from '../../src/testing/store/samples.ts'
import { quantile } from '../statistics.ts'
import type { ReplicaResult, ReplicaTask } from './task.ts'

const PATIENCE_MS = 60_000

const task = JSON.parse(process.argv[2] ?? '') as ReplicaTask
const waits = { connectMs: PATIENCE_MS, queueMs: PATIENCE_MS, statementMs: PATIENCE_MS }
const store = await openPostgresStore({ address: task.address, waits })
process.stdout.write('ready\n')
// All replicas begin together.
await new Promise((resolve) => process.stdin.once('data', resolve))
const latencies: number[] = []
const cpu = process.cpuUsage()
const endsAt = performance.now() + task.seconds * 1000
await Promise.all(Array.from({ length: task.clients }, (_, client) => reserve(client)))
const used = process.cpuUsage(cpu)
await store.close()
const result: ReplicaResult = {
  reservations: latencies.length,
  p50: quantile(latencies, 0.5),
  p99: quantile(latencies, 0.99),
  cpuMs: (used.user + used.system) / 1000,
}
process.stdout.write(`${JSON.stringify(result)}\n`)
process.exit(0)

async function reserve(client: number): Promise<void> {
  const subject = task.isHot ? '*' : `${task.replica}-${client}`
  const claims: Claim[] = [claim(1n, 10n ** 30n, { budget: 'bench', subject })]
  for (let n = 0; performance.now() < endsAt; n += 1) {
    const id = `chg_${task.replica}_${client}_${n}`
    const startedAt = performance.now()
    const { ok } = await store.reserve({ ...terms(1), id }, claims, false)
    if (!ok) throw new Error('a reservation that fits was refused')
    if (task.isPaid) await pay(id, client, n)
    latencies.push(performance.now() - startedAt)
  }
}

async function pay(id: string, client: number, n: number): Promise<void> {
  const at = terms(1).reservedAt
  const nonce = `0x${[task.replica, client, n].map((part) => part.toString(16).padStart(16, '0')).join('')}`
  const recorded = await store.authorize(id, signed(1, { nonce }), at)
  if (typeof recorded === 'string') throw new Error(`a new signature was refused: ${recorded}`)
  await store.move(id, { to: 'settled', at, reason: 'paid', proof: 'receipt', by: `ins_${task.replica}` })
}
