import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { historyReport } from '../bench/history/report.ts'
import { HistoryResult } from '../bench/history/result.ts'
import { neighboursReport } from '../bench/neighbours/report.ts'
import { NeighboursResult } from '../bench/neighbours/result.ts'
import { report } from '../bench/report.ts'
import { Result } from '../bench/result.ts'
import { median, quantile, spread } from '../bench/statistics.ts'

const ROOT = join(import.meta.dirname, '..')
const page = await readFile(join(ROOT, 'docs/benchmarks.md'), 'utf8')
const [, name = ''] = /^Raw samples: `(bench\/results\/\d[\w-]+\.json)`$/m.exec(page) ?? []
const [, beside = ''] = /^Raw samples: `(bench\/results\/neighbours-[\w-]+\.json)`$/m.exec(page) ?? []

describe('docs/benchmarks.md', () => {
  test('shows the figures of the raw samples it names, all of them and no others', async () => {
    const result = Result.parse(JSON.parse(await readFile(join(ROOT, name), 'utf8')))
    const [, figures] = page.split(/^## Figures\n\n<!-- .* -->\n\n/m)
    expect(figures).toBe(`${report(result)}\n\nRaw samples: \`${name}\`\n`)
  })

  test('shows the figures of the neighbours as their raw samples say', async () => {
    const result = NeighboursResult.parse(JSON.parse(await readFile(join(ROOT, beside), 'utf8')))
    const [, text = ''] = page.split('## Beside LiteLLM and Portkey')
    expect(text.split('## What it does not show')[0]).toContain(
      `\n\n${neighboursReport(result)}\n\nRaw samples: \`${beside}\`\n`,
    )
  })

  test('shows what a long history costs, before and after, as the raw samples say', async () => {
    const [, text = ''] = page.split('## A long history')
    const [section = ''] = text.split('## What it does not show')
    const files = [...section.matchAll(/^Raw samples: `(bench\/results\/history-[\w-]+\.json)`$/gm)]
    expect(files).toHaveLength(2)
    for (const [line, file = ''] of files) {
      const result = HistoryResult.parse(JSON.parse(await readFile(join(ROOT, file), 'utf8')))
      expect(section).toContain(`\n\n${historyReport(result)}\n\n${line}\n`)
    }
  })

  test('names raw samples that tell nothing about the machine but its processor', async () => {
    const text = await readFile(join(ROOT, name), 'utf8')
    const words = new Set(text.match(/[A-Za-z][\w@/. -]*/g))
    const told = ['node', 'cpu', 'cores', 'date', 'tollway', 'x402Fetch']
    const lanes = ['paid', 'direct', 'unpaid', 'gatewayCpuMs', 'stream', 'firstEventMs', 'gapsMs', 'fsyncMs']
    const ledger = [
      'ledger',
      'books',
      'memory',
      'sqlite',
      'sqlite and audit file',
      'concurrency',
      'charges',
      'ms',
    ]
    const audit = ['audit', 'records', 'bytes', 'grownBytes']
    const slow = ['slowStreams', 'streams', 'events', 'dropped', 'lagMs', 'liveBytes', 'rssBytes']
    const memory = ['before', 'during', 'buy', 'vouchers']
    const { cpu } = Result.parse(JSON.parse(text))
    expect(
      [...words].filter(
        (word) => ![...told, ...lanes, ...ledger, ...audit, ...slow, ...memory, cpu].includes(word),
      ),
    ).toEqual([])
  })
})

describe('the statistics', () => {
  test.each([
    [[3], 0.5, 3],
    [[4, 1, 3, 2], 0.5, 2],
    [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1], 0.9, 9],
    [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1], 1, 10],
  ])('the quantile of %j at %d is a sample, by nearest rank', (samples, share, expected) => {
    expect(quantile(samples, share)).toBe(expected)
  })

  test('the spread is least, middle and greatest', () => {
    expect(spread([5, 1, 3])).toEqual({ min: 1, median: median([5, 1, 3]), max: 5 })
  })

  test('no samples are an error, not a zero', () => {
    expect(() => median([])).toThrow(RangeError)
  })
})
