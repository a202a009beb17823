/** `npm run bench -- peers`: a paid call beside the official client, an unpaid request beside a bare proxy; `-- quick`: a short one that fails. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { z } from 'zod'
import { median } from '../statistics.ts'
import { measurePaid } from './measure-paid.ts'
import { measureUnpaid } from './measure-unpaid.ts'
import { peersReport } from './report.ts'
import { PeersResult } from './result.ts'

const ROOT = new URL('../../', import.meta.url)
const RESULTS = new URL('../results/', import.meta.url)

/** Measures, keeps the raw figures, and gives them as Markdown. */
export async function measurePeers(): Promise<string> {
  const startedAt = new Date()
  console.error('paid calls, a seller that answers at once ...')
  const fast = await measurePaid(0, [
    { parallel: 1, rounds: 9, calls: 60 },
    { parallel: 8, rounds: 7, calls: 240 },
    { parallel: 32, rounds: 7, calls: 480 },
    { parallel: 64, rounds: 7, calls: 640 },
  ])
  console.error('paid calls, a seller that takes 20 ms ...')
  const slow = await measurePaid(20, [
    { parallel: 1, rounds: 7, calls: 30 },
    { parallel: 32, rounds: 5, calls: 480 },
  ])
  console.error('unpaid requests ...')
  const unpaid = await measureUnpaid([
    { parallel: 1, rounds: 7, calls: 800 },
    { parallel: 32, rounds: 7, calls: 3000 },
  ])
  const result = PeersResult.parse({
    date: startedAt.toISOString().slice(0, 10),
    node: process.versions.node,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    tollway: await versionOf('package.json'),
    x402Fetch: await versionOf('node_modules/@x402/fetch/package.json'),
    requestsPerAnswer: Math.max(fast.requestsPerAnswer, slow.requestsPerAnswer),
    paid: [...fast.lanes, ...slow.lanes],
    unpaid,
  })
  await mkdir(RESULTS, { recursive: true })
  const name = `peers-${startedAt.toISOString().slice(0, 19).replaceAll(':', '')}.json`
  await writeFile(new URL(name, RESULTS), `${JSON.stringify(result)}\n`)
  return `${peersReport(result)}\n\nRaw samples: \`bench/results/${name}\``
}

/** The seller takes this long in the quick run. */
const QUICK_DELAY_MS = 50

/** Calls of each way before. */
const QUICK_WARM_UP = 8

/**
 * CPU time, in which others on the machine do not count. A process this young is still being compiled (1 to 2.5 here, 0.5 once it
 * is warm): noise does not come near.
 */
const MOST_OF_OFFICIAL = 8

/** Of questions and payments for each paid answer: one question in 30 seconds is asked behind an answer. */
const MOST_REQUESTS = 1.2

/**
 * A few paid calls, in some seconds.
 * @throws Error when a known seller is asked before a payment, or when paying through Tollway takes a multiple of the official
 * client's CPU time
 */
export async function measureQuick(): Promise<string> {
  const { lanes, requestsPerAnswer } = await measurePaid(
    QUICK_DELAY_MS,
    [{ parallel: 4, rounds: 3, calls: 12 }],
    QUICK_WARM_UP,
  )
  const [lane] = lanes
  if (!lane?.directCpuMs) throw new TypeError('nothing was measured')
  const ratio = median(lane.cpuMs) / median(lane.directCpuMs)
  const told = `${requestsPerAnswer.toFixed(2)} requests to the seller per paid answer; CPU time of the gateway's process per call ${ratio.toFixed(2)} of the official client's`
  if (requestsPerAnswer > MOST_REQUESTS)
    throw new Error(`${told}: a seller whose terms are known is asked again`)
  if (ratio > MOST_OF_OFFICIAL) throw new Error(`${told}: more than ${MOST_OF_OFFICIAL}`)
  return told
}

async function versionOf(path: string): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(new URL(path, ROOT), 'utf8'))
  return z.object({ version: z.string() }).parse(manifest).version
}
