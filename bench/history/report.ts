import { median } from '../statistics.ts'
import type { HistoryResult, HistorySample } from './result.ts'

/** The figures of a run, one column for each ledger, and the last one as a multiple of the first (of CPU where it was measured). */
export function historyReport({ samples, node, cpu, cores, date, load }: HistoryResult): string {
  const rows = samples.map(figures)
  const names = [...(rows[0]?.keys() ?? [])]
  const head = ['', ...samples.map(({ charges }) => `${charges.toLocaleString('en')} charges`), 'ratio']
  const lines = names.map((name) => {
    const values = rows.map((row) => row.get(name))
    const [first, last] = [values[0]?.value ?? 0, values.at(-1)?.value ?? 0]
    const ratio = first === 0 ? '' : (last / first).toFixed(2)
    return [name, ...values.map((value) => value?.text ?? ''), ratio]
  })
  const table = [head, head.map((_, column) => (column === 0 ? '---' : '---:')), ...lines]
  return [
    `Measured on ${date.slice(0, 10)}: Node ${node.replace(/^v/, '')}, ${cpu}, ${cores} cores, load ${load} per core.`,
    '',
    ...table.map((cells) => `| ${cells.join(' | ')} |`),
  ].join('\n')
}

interface Figure {
  readonly value: number
  readonly text: string
}

function figures(sample: HistorySample): Map<string, Figure> {
  const ms = (values: readonly number[]): Figure => ({
    value: median(values),
    text: `${median(values).toFixed(median(values) < 100 ? 1 : 0)} ms`,
  })
  return new Map([
    ['file', { value: sample.bytes, text: `${Math.ceil(sample.bytes / 1_048_576)} MB` }],
    ['start until it listens', ms(sample.startMs)],
    ['the same, CPU', ms(sample.startCpuMs)],
    ...Object.entries(sample.reportMs).map(([name, values]) => [`\`tollway ${name}\``, ms(values)] as const),
    ...Object.entries(sample.reads).map(([name, { ms: times, cpuMs, hold }]) => {
      const text = `${ms(times).text}; CPU ${cpuMs.toFixed(1)}; held ${hold.toFixed(0)}`
      return [name, { value: cpuMs, text }] as const
    }),
    ['idle CPU', { value: sample.idle, text: `${(sample.idle * 100).toFixed(2)} % of a core` }],
    ['longest hold while idle', ms([sample.idleHold])],
    [
      'charges a second, 64 at a time',
      { value: median(sample.chargesPerSecond), text: median(sample.chargesPerSecond).toFixed(0) },
    ],
  ])
}
