import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { differences, openWithSums, proven, tamper } from './kit.ts'

const AGREE = { ledger_audit: 0n, ledger_metrics: 0n, audit_metrics: 0n }

test('keeps the three totals equal to the micro-USD, however charges move', async () => {
  const fates = [
    'settle',
    'assume',
    'assume_release',
    'uncertain',
    'prove',
    'disprove',
    'release',
    'hold',
    'less',
    'less_assumed',
    'less_receipt',
    'audit_outage_at_authorize',
  ] as const
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom(...fates), fc.bigInt({ min: 1n, max: 10n ** 9n })), {
        maxLength: 12,
      }),
      async (plan) => {
        const { ledger, sums, authorize, refuseToRecord } = await openWithSums()
        for (const [n, [fate, amount]] of plan.entries()) {
          if (fate === 'audit_outage_at_authorize') {
            await ledger.release(await refuseToRecord(n + 1, amount), 'audit_unavailable')
            continue
          }
          const charge = await authorize(n + 1, amount, fate.startsWith('less') ? 'upto' : undefined)
          if (fate === 'less_assumed') {
            await ledger.resolve(await ledger.settle(charge, 'assumed', undefined), proven(true, amount / 3n))
          }
          if (fate === 'less_receipt') {
            await ledger.resolve(await ledger.settle(charge, 'receipt', undefined), proven(true, amount / 2n))
          }
          if (fate === 'less') {
            await ledger.resolve(await ledger.uncertain(charge, 'timeout'), proven(true, amount / 4n))
          }
          if (fate === 'settle') await ledger.settle(charge, 'receipt', undefined)
          if (fate === 'release') await ledger.release(charge, 'never_sent')
          if (fate === 'assume' || fate === 'assume_release') {
            const settled = await ledger.settle(charge, 'assumed', undefined)
            if (fate === 'assume_release') await ledger.resolve(settled, proven(false))
            else await ledger.resolve(settled, proven(true))
          }
          if (fate === 'uncertain' || fate === 'prove' || fate === 'disprove') {
            const open = await ledger.uncertain(charge, 'timeout')
            if (fate !== 'uncertain') await ledger.resolve(open, proven(fate === 'prove'))
          }
        }
        expect(await differences(sums)).toEqual(AGREE)
      },
    ),
    { numRuns: 60 },
  )
})

describe('an error in one of the totals raises the gauge', () => {
  async function spend() {
    const world = await openWithSums()
    for (const n of [1, 2, 3])
      await world.ledger.settle(await world.authorize(n, 2000n), 'receipt', undefined)
    expect(await differences(world.sums)).toEqual(AGREE)
    return world
  }
  const shown = async (text: Promise<string>): Promise<string[]> =>
    (await text).split('\n').filter((line) => line.startsWith('tollway_ledger_mismatch_usd{'))

  test('the ledger: a row is missing, or has another amount', async () => {
    const { sums, metrics, replaced, real, logged } = await spend()
    const rows = await real.history({ since: 0, until: Number.MAX_SAFE_INTEGER })
    tamper(replaced, real, (charge) => (charge.id === rows[0]?.id ? undefined : charge))
    expect(await differences(sums)).toEqual({ ledger_audit: 2000n, ledger_metrics: 2000n, audit_metrics: 0n })
    expect(await shown(metrics.text())).toContain('tollway_ledger_mismatch_usd{pair="ledger_audit"} 0.002')
    tamper(replaced, real, (charge) =>
      charge.id === rows[1]?.id ? { ...charge, microUsd: (charge.microUsd ?? 0n) + 1n } : charge,
    )
    expect(await differences(sums)).toEqual({ ledger_audit: 1n, ledger_metrics: 1n, audit_metrics: 0n })
    expect(logged[0]?.message).toBe('the totals of ledger, audit file and metrics differ')
    expect(logged[0]?.fields['difference_usd']).toEqual({ ledger_audit: '0.002', ledger_metrics: '0.002' })
    replaced.history = (query) => real.history(query)
    expect(await differences(sums)).toEqual(AGREE)
    expect(logged.at(-1)?.message).toBe('the totals of ledger, audit file and metrics agree again')
  })

  test('the chain: more left the wallet, and the log names a shared wallet as the first cause to look for', async () => {
    const { sums, logged } = await openWithSums(undefined, undefined, async () => 5n)
    expect(await differences(sums)).toMatchObject({ ledger_chain: 5n })
    expect(logged[0]?.fields['difference_usd']).toEqual({ ledger_chain: '0.000005' })
    expect(logged[0]?.message).toContain('whether another program pays from the same wallet')
  })

  test('the audit file: a record was not written', async () => {
    const { ledger, sums, metrics, audit, authorize } = await spend()
    const charge = await authorize(4, 7000n)
    audit.outage = new Error('no')
    await ledger.settle(charge, 'receipt', undefined)
    expect(await differences(sums)).toEqual({ ledger_audit: 7000n, ledger_metrics: 0n, audit_metrics: 7000n })
    expect(await shown(metrics.text())).toEqual([
      'tollway_ledger_mismatch_usd{pair="ledger_audit"} 0.007',
      'tollway_ledger_mismatch_usd{pair="ledger_metrics"} 0',
      'tollway_ledger_mismatch_usd{pair="audit_metrics"} 0.007',
    ])
    audit.outage = undefined
    await ledger.beat()
    expect(await differences(sums)).toEqual(AGREE)
  })

  test('the metrics: a move was not counted', async () => {
    const { ledger, sums, metrics, faults, authorize } = await spend()
    faults.metrics = true
    await ledger.settle(await authorize(4, 3000n), 'receipt', undefined)
    faults.metrics = false
    expect(await differences(sums)).toEqual({ ledger_audit: 0n, ledger_metrics: 3000n, audit_metrics: 3000n })
    expect(await shown(metrics.text())).toContain('tollway_ledger_mismatch_usd{pair="ledger_metrics"} 0.003')
  })

  test('the metrics: a counter was reset', async () => {
    const { sums, metrics } = await spend()
    metrics.registry.resetMetrics()
    expect(await differences(sums)).toEqual({ ledger_audit: 0n, ledger_metrics: 6000n, audit_metrics: 6000n })
  })

  test('shows no number for a ledger that cannot be read, and reports it', async () => {
    const { sums, metrics, replaced, timers, logged } = await spend()
    replaced.history = async () => {
      throw new Error('locked')
    }
    await timers.fire(15_000)
    await expect
      .poll(() => logged.at(-1)?.message)
      .toBe('could not compare the totals of ledger, audit file and metrics')
    expect((await shown(metrics.text()))[0]).toMatch(
      /^tollway_ledger_mismatch_usd{pair="ledger_audit"} nan$/i,
    )
    sums.close()
    expect(timers.size).toBe(0)
  })
})

test('ignores a payment that moves while the totals are read', async () => {
  const { ledger, sums, authorize, replaced, real } = await openWithSums()
  let n = 0
  replaced.history = async (query) => {
    const rows = await real.history(query)
    if (!query.after) await ledger.settle(await authorize((n += 1)), 'receipt', undefined)
    return rows
  }
  for (let look = 0; look < 6; look++) {
    expect(Object.fromEntries((await sums.run()).map((one) => [one.pair, one.microUsd]))).toEqual(AGREE)
  }
})

test('ignores moves of its charges by another process', async () => {
  const one = await openWithSums()
  const timedOut = await one.ledger.uncertain(await one.authorize(1, 5000n), 'timeout')
  const assumed = await one.ledger.settle(await one.authorize(2, 300n), 'assumed', undefined)
  const upto = await one.ledger.settle(await one.authorize(3, 900n, 'upto'), 'receipt', undefined)
  const other = await openWithSums('ins_two', {
    store: one.store,
    real: one.real,
    replaced: one.replaced,
    counts: one.counts,
  })
  await other.ledger.resolve(timedOut, proven(true))
  await other.ledger.resolve(assumed, proven(false))
  await other.ledger.resolve(upto, proven(true, 200n))
  expect(await differences(one.sums)).toEqual(AGREE)
  expect(await differences(other.sums)).toEqual(AGREE)
})

test('ignores the rounding of a counter that is too large for a micro-USD', async () => {
  const { ledger, sums, metrics, authorize } = await openWithSums()
  for (const [n, microUsd] of [10n ** 16n, 1n, 1n, 1n, 1n].entries()) {
    await ledger.settle(await authorize(n + 1, microUsd), 'receipt', undefined)
  }
  expect(metrics.spentMicroUsd()).toBe(10n ** 16n + 4n)
  expect(await differences(sums)).toEqual(AGREE)
})

test('never lowers a counter: corrections by the chain have counters of their own', async () => {
  const { ledger, metrics, authorize } = await openWithSums()
  await ledger.resolve(
    await ledger.settle(await authorize(1, 900n, 'upto'), 'receipt', undefined),
    proven(true, 200n),
  )
  await ledger.resolve(
    await ledger.uncertain(await authorize(2, 500n, 'upto'), 'timeout'),
    proven(true, 100n),
  )
  await ledger.resolve(await ledger.settle(await authorize(3, 40n), 'assumed', undefined), proven(false))
  await ledger.resolve(await ledger.settle(await authorize(4, 7n), 'assumed', undefined), proven(true))
  const lines = (await metrics.text()).split('\n').filter((line) => /^tollway_spend_\w+_total/.test(line))
  const value = (line: string): number => Number(line.slice(line.lastIndexOf(' ')))
  expect(lines.map((line) => [line.replace(/\{.*/, ''), Number(value(line).toFixed(9))])).toEqual([
    ['tollway_spend_usd_total', 0.001047],
    ['tollway_spend_atomic_total', 1047],
    ['tollway_spend_corrections_usd_total', 0.00074],
    ['tollway_spend_corrections_atomic_total', 740],
  ])
})
