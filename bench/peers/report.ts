import { median, spread } from '../statistics.ts'
import type { PeersResult } from './result.ts'

type Lane = PeersResult['paid'][number]

/** The figures as Markdown: medians of the ratios of each round, with the least and the greatest. */
export function peersReport(result: PeersResult): string {
  const { date, node, cpu, cores, tollway, x402Fetch, requestsPerAnswer } = result
  return [
    `${date}, ${cores} x ${cpu}, Node ${node}, Tollway ${tollway}, @x402/fetch ${x402Fetch}. Requests to the seller per paid answer: ${requestsPerAnswer.toFixed(2)}.`,
    table('Paid: the seller takes', 'official client', result.paid),
    table('Unpaid, 1 KB', 'express + http-proxy-middleware', result.unpaid),
  ].join('\n\n')
}

function table(title: string, peer: string, lanes: readonly Lane[]): string {
  const rows = lanes.map(({ delayMs, parallel, rounds, cpuMs, directCpuMs }) => {
    const time = ratios(rounds.map(({ tollway, direct }) => tollway.p50 / direct.p50))
    const rate = ratios(rounds.map(({ tollway, direct }) => tollway.perSecond / direct.perSecond))
    const own = median(rounds.map(({ tollway }) => tollway.p50)).toFixed(2)
    const peers = directCpuMs ? ` (${median(directCpuMs).toFixed(2)} ms)` : ''
    return `| ${delayMs} ms, ${parallel} at once | ${own} ms | ${time} | ${rate} | ${median(cpuMs).toFixed(2)} ms${peers} |`
  })
  return [
    `| ${title} | p50 | p50 : ${peer} | per second : ${peer} | CPU per call (peer) |`,
    '| --- | ---: | ---: | ---: | ---: |',
    ...rows,
  ].join('\n')
}

function ratios(values: readonly number[]): string {
  const { min, median: middle, max } = spread(values)
  return `${middle.toFixed(2)} (${min.toFixed(2)} to ${max.toFixed(2)})`
}
