/**
 * `npm run bench`: what Tollway costs, with every part switched on, against doing without it. Loopback only; ends by
 * itself within about three minutes. Method and figures: docs/benchmarks.md. `npm run bench -- neighbours` measures Tollway
 * beside LiteLLM and Portkey's gateway instead, `-- peers` beside the official client and a bare proxy. `-- quick` fails when a
 * known seller is asked before a payment, or a paid call takes a multiple of the official client's CPU time. `-- history` measures what
 * a long history costs, with ledgers of the sizes that follow (default 10,000 and 1,000,000 charges). `-- postgres`
 * measures reservations on a Postgres ledger. `-- soak` sends
 * 100,000 requests, or as many as follow, and tells what they leave in the gateway's memory. With the name of a file of raw
 * samples it measures nothing and prints that file's figures.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { z } from 'zod'
import { Part } from './child.ts'
import { GatewayFacts, WorldFacts } from './facts.ts'
import { measureAudit } from './lane-audit.ts'
import { measureBuy } from './lane-buy.ts'
import { measureLedger } from './lane-ledger.ts'
import { measurePaid, PAYMENTS_PER_WAY } from './lane-paid.ts'
import { measureSlowStreams } from './lane-slow-streams.ts'
import { measureStream } from './lane-stream.ts'
import { measureUnpaid } from './lane-unpaid.ts'
import { measureHistories } from './history/measure.ts'
import { historyReport } from './history/report.ts'
import { HistoryResult } from './history/result.ts'
import { measureNeighbours } from './neighbours/measure.ts'
import { neighboursReport } from './neighbours/report.ts'
import { NeighboursResult } from './neighbours/result.ts'
import { measurePeers, measureQuick } from './peers/measure.ts'
import { peersReport } from './peers/report.ts'
import { PeersResult } from './peers/result.ts'
import { report } from './report.ts'
import { Result } from './result.ts'
import { measurePostgres } from './postgres/measure.ts'
import { measureSoak } from './soak.ts'

const ROOT = new URL('../', import.meta.url)
const RESULTS = new URL('results/', import.meta.url)

const [file, ...more] = process.argv.slice(2)
console.log(await output())

async function output(): Promise<string> {
  if (file === undefined) return await measureAll()
  if (file === 'neighbours') return await measureNeighbours()
  if (file === 'peers') return await measurePeers()
  if (file === 'history') return await measureHistories(more.length > 0 ? more : ['10000', '1000000'])
  if (file === 'soak') return await measureSoak(Number(more[0] ?? '100000'))
  if (file === 'postgres') return await measurePostgres()
  if (file === 'quick') return await measureQuick()
  const text = await readFile(file, 'utf8')
  if (/(?:^|\/)peers-[^/]*$/.test(file)) return peersReport(PeersResult.parse(JSON.parse(text)))
  if (/(?:^|\/)history-[^/]*$/.test(file)) return historyReport(HistoryResult.parse(JSON.parse(text)))
  return /(?:^|\/)neighbours-[^/]*$/.test(file)
    ? neighboursReport(NeighboursResult.parse(JSON.parse(text)))
    : report(parse(text))
}

async function measureAll(): Promise<string> {
  const startedAt = new Date()
  const world = await Part.start(new URL('world-process.ts', import.meta.url), null, WorldFacts)
  try {
    const { seller, upstream } = world.facts
    const gateway = await Part.start(
      new URL('gateway-process.ts', import.meta.url),
      world.facts,
      GatewayFacts,
    )
    try {
      const { url } = gateway.facts
      console.error('paid calls ...')
      const paid = await measurePaid(seller, url)
      await checkBooks(world, gateway)
      console.error('unpaid requests ...')
      const unpaid = await measureUnpaid(upstream, url, () => gateway.ask('cpu'))
      console.error('streams ...')
      const stream = await measureStream(upstream, url)
      console.error('ledgers ...')
      const books = await measureLedger()
      console.error('audit files ...')
      const audit = await measureAudit()
      console.error('vouchers ...')
      const buy = await measureBuy(seller)
      console.error('slow streams ...')
      const slowStreams = await measureSlowStreams()
      return await save(startedAt, { paid, unpaid, stream, ...books, audit, buy, slowStreams })
    } finally {
      await gateway.close()
    }
  } finally {
    await world.close()
  }
}

type Measured = Pick<
  Result,
  'paid' | 'unpaid' | 'stream' | 'ledger' | 'fsyncMs' | 'audit' | 'buy' | 'slowStreams'
>

/** Writes the raw samples, with nothing about the machine but its processor. */
async function save(startedAt: Date, measured: Measured): Promise<string> {
  const result = Result.parse({
    date: startedAt.toISOString().slice(0, 10),
    node: process.versions.node,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    tollway: await versionOf('package.json'),
    x402Fetch: await versionOf('node_modules/@x402/fetch/package.json'),
    ...measured,
  })
  await mkdir(RESULTS, { recursive: true })
  const name = `${startedAt.toISOString().slice(0, 19).replaceAll(':', '')}.json`
  await writeFile(new URL(name, RESULTS), `${JSON.stringify(result)}\n`)
  return `${report(result)}\n\nRaw samples: bench/results/${name}`
}

function parse(text: string): Result {
  return Result.parse(JSON.parse(text))
}

/** Fast and wrong would be worth nothing: every call was paid exactly once, and Tollway has booked all of its own. */
async function checkBooks(chain: Part<WorldFacts>, gateway: Part<unknown>): Promise<void> {
  const booked = { settled: await gateway.ask('settled'), open: await gateway.ask('open') }
  const transfers = await chain.ask('transfers')
  if (transfers !== 2 * PAYMENTS_PER_WAY || booked.settled !== PAYMENTS_PER_WAY || booked.open !== 0) {
    throw new Error(
      `${transfers} transfers and ${JSON.stringify(booked)} charges for ${PAYMENTS_PER_WAY} calls each way`,
    )
  }
}

async function versionOf(path: string): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(new URL(path, ROOT), 'utf8'))
  return z.object({ version: z.string() }).parse(manifest).version
}
