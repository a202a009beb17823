import { median, quantile, spread } from '../statistics.ts'
import { WAYS, type NeighboursResult, type Way } from './result.ts'

const NAMES: Readonly<Record<Way, string>> = {
  direct: 'Straight to the upstream',
  tollway: 'Through Tollway',
  portkey: "Through Portkey's gateway",
  litellm: 'Through LiteLLM',
}

/** The figures as Markdown: what is printed, and what docs/benchmarks.md shows. */
export function neighboursReport(result: NeighboursResult): string {
  const { date, node, cpu, cores, tollway, litellm, portkey } = result
  return [
    `Measured on ${date}: Node ${node}, ${cpu}, ${cores} cores, Tollway ${tollway}, LiteLLM ${litellm}, @portkey-ai/gateway ${portkey}.`,
    budget(result),
    unpaid(result),
  ].join('\n\n')
}

function budget({ budget: { calls, priceMicroUsd, limitMicroUsd, rounds } }: NeighboursResult): string {
  const row = (name: string, bursts: (typeof rounds)[number]['tollway'][]): string =>
    `| ${[
      name,
      range(
        bursts.map(({ answered }) => answered),
        String,
      ),
      range(
        bursts.map(({ spentMicroUsd }) => spentMicroUsd),
        usd,
      ),
      [...new Set(bursts.map(({ next }) => next))].join(', '),
    ].join(' | ')} |`
  return [
    `### ${calls} calls of ${usd(priceMicroUsd)} at once, under a budget of ${usd(limitMicroUsd)}`,
    '',
    `${rounds.length} rounds, each with a fresh budget.`,
    '',
    '|  | Answered | Spent | One more call afterwards |',
    '| --- | ---: | ---: | ---: |',
    row(
      'Tollway, a budget',
      rounds.map((round) => round.tollway),
    ),
    row(
      'LiteLLM, a provider budget',
      rounds.map((round) => round.litellm),
    ),
  ].join('\n')
}

function unpaid({ unpaid: rounds }: NeighboursResult): string {
  const all = (way: Way): number[] => rounds.flatMap((round) => round[way])
  const added = (way: Way): number[] => rounds.map((round) => median(round[way]) - median(round.direct))
  const rows = WAYS.map((way) => [
    NAMES[way],
    ms(median(all(way))),
    ms(quantile(all(way), 0.9)),
    way === 'direct' ? '' : range(added(way), ms),
    way === 'direct' || way === 'tollway'
      ? ''
      : range(
          rounds.map(
            (round) =>
              (median(round[way]) - median(round.direct)) / (median(round.tollway) - median(round.direct)),
          ),
          (value) => value.toFixed(1),
        ),
  ])
  return [
    '### An unpaid chat request of 1 KB, on one upstream',
    '',
    `${all('direct').length} requests each way in ${rounds.length} rounds, one at a time.`,
    '',
    '|  | Median | p90 | Added to the median, by the round | Added : added by Tollway, by the round |',
    '| --- | ---: | ---: | ---: | ---: |',
    ...rows.map((cells) => `| ${cells.join(' | ')} |`),
  ].join('\n')
}

function range(values: readonly number[], show: (value: number) => string): string {
  const { min, median: middle, max } = spread(values)
  return min === max ? show(middle) : `${show(middle)} (${show(min)} to ${show(max)})`
}

const ms = (value: number): string => `${value.toFixed(2)} ms`
const usd = (micro: number): string => `$${(micro / 1_000_000).toFixed(2)}`
