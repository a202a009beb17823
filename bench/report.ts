import { LEDGERS, type Result } from './result.ts'
import { median, quantile, spread } from './statistics.ts'

/** The figures of a result as Markdown: what is printed, and what docs/benchmarks.md shows. */
export function report(result: Result): string {
  return [
    `Measured on ${result.date}: Node ${result.node}, ${result.cpu}, ${result.cores} cores, Tollway ${result.tollway}, @x402/fetch ${result.x402Fetch}.`,
    paid(result),
    unpaid(result),
    stream(result),
    ledger(result),
    ...(result.audit ? [audit(result.audit)] : []),
    ...(result.buy ? [buy(result.buy)] : []),
    ...(result.slowStreams ? [slowStreams(result.slowStreams)] : []),
  ].join('\n\n')
}

function paid({ paid: rounds }: Result): string {
  const direct = rounds.flatMap((one) => one.direct)
  const tollway = rounds.flatMap((one) => one.tollway)
  const medians = rounds.map((one) => median(one.tollway) / median(one.direct))
  const added = rounds.map((one) => median(one.tollway) - median(one.direct))
  return section('A paid call', `${direct.length} calls each way in ${rounds.length} rounds, one at a time`, [
    ['', 'Median', 'p90'],
    ['Official client, straight to the seller', ms(median(direct)), ms(quantile(direct, 0.9))],
    ['Any client, through Tollway', ms(median(tollway)), ms(quantile(tollway, 0.9))],
    ['Added to the median, by the round', range(added, ms), ''],
    ['Tollway : official client, by the round', ratios(medians), ''],
  ])
}

function unpaid({ unpaid: rounds }: Result): string {
  const direct = rounds.flatMap((one) => one.direct)
  const tollway = rounds.flatMap((one) => one.tollway)
  const added = rounds.map((one) => median(one.tollway) - median(one.direct))
  const cpu = rounds.map((one) => one.gatewayCpuMs)
  return section(
    'An unpaid request of 1 KB',
    `${direct.length} requests each way in ${rounds.length} rounds, one at a time`,
    [
      ['', 'Median', 'p90'],
      ['Straight to the upstream', ms(median(direct)), ms(quantile(direct, 0.9))],
      ['Through Tollway', ms(median(tollway)), ms(quantile(tollway, 0.9))],
      ['Added to the median, by the round', range(added, ms), ''],
      ['CPU time of the gateway for one request, by the round', range(cpu, ms), ''],
      [
        'Through Tollway : straight, by the round',
        ratios(rounds.map((one) => median(one.tollway) / median(one.direct))),
        '',
      ],
    ],
  )
}

function stream({ stream: rounds }: Result): string {
  const firstDirect = rounds.flatMap((one) => one.direct.firstEventMs)
  const firstTollway = rounds.flatMap((one) => one.tollway.firstEventMs)
  const gapsDirect = rounds.flatMap((one) => one.direct.gapsMs)
  const gapsTollway = rounds.flatMap((one) => one.tollway.gapsMs)
  const added = rounds.map((one) => median(one.tollway.firstEventMs) - median(one.direct.firstEventMs))
  return section(
    'An unpaid stream of 64 events, 5 ms apart',
    `${firstDirect.length} streams each way in ${rounds.length} rounds, one at a time`,
    [
      ['', 'First event, median', 'Gap, median', 'Gap, p99'],
      [
        'Straight from the upstream',
        ms(median(firstDirect)),
        ms(median(gapsDirect)),
        ms(quantile(gapsDirect, 0.99)),
      ],
      ['Through Tollway', ms(median(firstTollway)), ms(median(gapsTollway)), ms(quantile(gapsTollway, 0.99))],
      ['Added, by the round', range(added, ms), '', ''],
    ],
  )
}

function ledger(result: Result): string {
  const perSecond = (books: string, concurrency: number): number[] =>
    result.ledger
      .filter((cell) => cell.books === books && cell.concurrency === concurrency)
      .map((cell) => (cell.charges * 1000) / cell.ms)
  const concurrencies = [...new Set(result.ledger.map(({ concurrency }) => concurrency))]
  const rounds = perSecond(LEDGERS[0], concurrencies[0] ?? 1).length
  return section(
    'The ledger: charges a second, each reserved, recorded and settled',
    `${rounds} rounds of about a second each; one append and fsync of 4 KB on this disk takes ${ms(median(result.fsyncMs))} (median of ${result.fsyncMs.length})`,
    [
      ['', ...concurrencies.map((concurrency) => `${concurrency} at a time`)],
      ...LEDGERS.map((books) => [
        books,
        ...concurrencies.map((concurrency) => range(perSecond(books, concurrency), whole)),
      ]),
    ],
  )
}

function audit({ records, bytes, ms: rounds, grownBytes }: NonNullable<Result['audit']>): string {
  return section(
    'Proving an audit file: tollway audit verify',
    `${rounds.length} rounds over ${records} signed records, ${mebibytes(bytes)}`,
    [
      ['', 'By the round'],
      [
        'Records a second',
        range(
          rounds.map((one) => (records * 1000) / one),
          whole,
        ),
      ],
      ['Memory it grew by', mebibytes(grownBytes)],
    ],
  )
}

function buy({ vouchers, ms: rounds, grownBytes }: NonNullable<Result['buy']>): string {
  const each = (value: number): string => ms(value / vouchers)
  return section(
    `${vouchers} vouchers: tollway buy`,
    `${rounds.tollway.length} rounds, each into a new store; from the first batch of 100 to the last the memory in use grew by ${mebibytes(grownBytes)}`,
    [
      ['', 'All, by the round', 'Each'],
      ['Signed by viem alone, kept nowhere', range(rounds.direct, ms), each(median(rounds.direct))],
      ['Bought: asked, signed, checked, stored', range(rounds.tollway, ms), each(median(rounds.tollway))],
    ],
  )
}

function slowStreams({
  streams,
  events,
  dropped,
  firstEventMs: rounds,
  lagMs,
  liveBytes,
  rssBytes,
}: NonNullable<Result['slowStreams']>): string {
  const added = rounds.map((one) => median(one.tollway) - median(one.direct))
  const each = (memory: { before: number; during: number }): string =>
    `${((memory.during - memory.before) / streams / 1024).toFixed(0)} KiB`
  return section(
    `${streams} streams at once, one event a second each`,
    `${events} events came through, ${dropped} streams were dropped or lack one; ${rounds.length} rounds of further streams one at a time`,
    [
      ['', 'Straight from the seller', 'Through Tollway'],
      [
        'First event of one more stream, median',
        ms(median(rounds.flatMap((one) => one.direct))),
        ms(median(rounds.flatMap((one) => one.tollway))),
      ],
      ['Added, by the round', '', range(added, ms)],
      ['An event under way, median', ms(median(lagMs.direct)), ms(median(lagMs.tollway))],
      ['An event under way, p99', ms(quantile(lagMs.direct, 0.99)), ms(quantile(lagMs.tollway, 0.99))],
      ['Memory in use, for each stream', '', each(liveBytes)],
      ['Resident memory, for each stream', '', each(rssBytes)],
      ['Resident memory of the gateway in all', '', mebibytes(rssBytes.during)],
    ],
  )
}

function section(title: string, samples: string, rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows
  const rule = line(head.map((_, index) => (index === 0 ? '---' : '---:')))
  return [`### ${title}`, '', `${samples}.`, '', line(head), rule, ...body.map(line)].join('\n')
}

/** Lowest, middle and highest round. */
function range(values: readonly number[], show: (value: number) => string): string {
  const { min, median: middle, max } = spread(values)
  return `${show(middle)} (${show(min)} to ${show(max)})`
}

function ratios(values: readonly number[]): string {
  return range(values, (value) => value.toFixed(2))
}

function ms(value: number): string {
  return `${value.toFixed(2)} ms`
}

function mebibytes(value: number): string {
  return `${(value / 1_048_576).toFixed(1)} MiB`
}

function whole(value: number): string {
  return String(Math.round(value))
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}
