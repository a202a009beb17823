/**
 * What a long history costs: start, reports, pages, scrapes, an idle gateway and charges, on ledgers of several sizes, and the
 * ratio between the first and the last. A ledger is written to: a few thousand charges are added.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { cpus, loadavg } from 'node:os'
import { join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Part } from '../child.ts'
import { GatewayFacts } from '../facts.ts'
import { chargesPerSecond } from '../lane-ledger.ts'
import { round } from '../result.ts'
import { WORK_DIRECTORY } from '../work-directory.ts'
import { generateHistory } from './generate.ts'
import { historyReport } from './report.ts'
import { HistoryResult, type HistorySample } from './result.ts'

const run = promisify(execFile)
const CLI = new URL('../../src/app/cli/main.ts', import.meta.url).pathname
const STARTS = 3
const REPORTS = 2
const READS = 3
const IDLE_MS = 20_000
const DAY_MS = 86_400_000
const CALLERS = 64
const ROUNDS = 3

/**
 * @param ledgers the number of charges of a ledger that is generated and removed, or the file of one
 * @returns the report; the raw samples are written beside the others
 */
export async function measureHistories(ledgers: readonly string[]): Promise<string> {
  const load = round((loadavg()[0] ?? 0) / cpus().length)
  const samples: HistorySample[] = []
  for (const ledger of ledgers) {
    if (!/^\d+$/.test(ledger)) {
      samples.push(await measureHistory(resolve(ledger)))
      continue
    }
    const directory = await mkdtemp(WORK_DIRECTORY)
    try {
      const file = join(directory, 'tollway.db')
      console.error(`generating ${ledger} charges ...`)
      await generateHistory(file, Number(ledger), Date.now())
      samples.push(await measureHistory(file))
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  }
  const result = HistoryResult.parse({
    date: new Date().toISOString(),
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    load,
    samples,
  })
  const folder = new URL('../results/', import.meta.url)
  await mkdir(folder, { recursive: true })
  const name = `history-${result.date.slice(0, 19).replaceAll(':', '')}.json`
  await writeFile(new URL(name, folder), `${JSON.stringify(result)}\n`)
  return `${historyReport(result)}\n\nRaw samples: \`bench/results/${name}\``
}

async function measureHistory(ledger: string): Promise<HistorySample> {
  const directory = await mkdtemp(WORK_DIRECTORY)
  try {
    const db = new DatabaseSync(ledger, { readOnly: true })
    const charges = Number(db.prepare('SELECT count(*) AS n FROM charges').get()?.['n'])
    db.close()
    console.error(`${charges} charges ...`)
    const start = (): Promise<Part<{ url: string }>> =>
      Part.start(new URL('gateway-process.ts', import.meta.url), { ledger, directory }, GatewayFacts)
    const startMs: number[] = []
    const startCpuMs: number[] = []
    for (let index = 1; index < STARTS; index += 1) {
      const [gateway, ms] = await timed(start)
      startMs.push(ms)
      startCpuMs.push(round(await gateway.ask('cpu')))
      await gateway.close()
    }
    const [gateway, ms] = await timed(start)
    startMs.push(ms)
    startCpuMs.push(round(await gateway.ask('cpu')))
    const served = await measureGateway(gateway)
    await gateway.close()
    return {
      charges,
      bytes: (await stat(ledger)).size,
      startMs,
      startCpuMs,
      ...served,
      reportMs: await measureReports(ledger, directory),
      chargesPerSecond: await chargesPerSecond(ledger, CALLERS, ROUNDS),
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function measureGateway(
  gateway: Part<{ url: string }>,
): Promise<Pick<HistorySample, 'reads' | 'idle' | 'idleHold'>> {
  const { url } = gateway.facts
  // The first readings of the background are no part of what a read costs.
  await pause(3000)
  const month = new Date(Date.now() - 30 * DAY_MS).toISOString()
  const paths = {
    '/health/live': '/health/live',
    'scrape of /metrics': '/metrics',
    '/v1/usage': '/v1/usage',
    '/api/spend, 30 days by day': `/api/spend?bucket=day&from=${month}`,
    '/api/spend, 30 days by day and seller': `/api/spend?bucket=day&by=seller&from=${month}`,
    '/api/spend, 30 days by day and agent, Berlin': `/api/spend?bucket=day&by=tag.agent&timezone=Europe/Berlin&from=${month}`,
    '/api/charges': '/api/charges',
    '/api/charges, a page of 1000': '/api/charges?limit=1000',
    '/api/charges of a route without any': '/api/charges?route=none',
    '/api/charges of a payer without any': '/api/charges?payer=none',
    '/api/charges that never meet':
      '/api/charges?payer=base&caller=caller-1&seller=https://seller-2.example.com',
    '/api/charges that are uncertain': '/api/charges?state=uncertain',
    '/api/charges released, of one caller': '/api/charges?state=released&caller=caller-3',
  }
  const reads: HistorySample['reads'] = {}
  for (const [name, path] of Object.entries(paths)) {
    await gateway.ask('watch')
    const before = await gateway.ask('cpu')
    const ms: number[] = []
    for (let index = 0; index < READS; index += 1) {
      const [, took] = await timed(async () => {
        const response = await fetch(`${url}${apart(path, index)}`)
        if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
        await response.arrayBuffer()
      })
      ms.push(took)
    }
    const cpuMs = round(((await gateway.ask('cpu')) - before) / READS)
    reads[name] = { ms, cpuMs, hold: round(await gateway.ask('hold')) }
  }
  await pause(3000)
  const before = await gateway.ask('cpu')
  await pause(IDLE_MS)
  const idle = round((await gateway.ask('cpu')) - before) / IDLE_MS
  await gateway.ask('watch')
  await pause(IDLE_MS)
  return { reads, idle, idleHold: round(await gateway.ask('hold')) }
}

/** Equal questions get one answer for a while: a filter that changes nothing makes this one another. */
function apart(path: string, index: number): string {
  if (!path.startsWith('/api/')) return path
  return `${path}${path.includes('?') ? '&' : '?'}to=${new Date(Date.now() + index).toISOString()}`
}

async function measureReports(ledger: string, directory: string): Promise<HistorySample['reportMs']> {
  const config = join(directory, 'tollway.yaml')
  await writeFile(config, `store: sqlite:${ledger}\n`)
  const times: HistorySample['reportMs'] = {}
  for (const args of [
    ['report', 'month'],
    ['report', 'month', '--back', '1', '--by', 'day,seller', '--csv'],
  ]) {
    const ms: number[] = []
    for (let index = 0; index < REPORTS; index += 1) {
      ms.push((await timed(() => run(process.execPath, [CLI, ...args, '--config', config])))[1])
    }
    times[args.join(' ')] = ms
  }
  return times
}

async function timed<T>(work: () => Promise<T>): Promise<readonly [T, number]> {
  const startedAt = performance.now()
  const value = await work()
  return [value, round(performance.now() - startedAt)]
}
