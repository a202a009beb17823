import { beforeAll, describe, expect, test } from 'vitest'
import { CASES, renderReport, runTransportCases, type TransportReport } from './transport-cases.ts'

/** What the client is told; the rest follows from whether the money was taken. */
const ANSWERS = {
  clean: '200',
  slow_answer: '200',
  accept_then_timeout: '400 payment_uncertain',
  '5xx_after_settle': '400 seller_error',
  double_402: '400 payment_rejected',
  declared_safe: '400 seller_error',
  reconcile_unavailable: '400 seller_error',
} as const

let report: TransportReport

beforeAll(async () => {
  report = await runTransportCases()
})

test('every case ran streamed and not, over both versions', () => {
  expect(report.rows).toHaveLength(CASES.length * 4)
})

describe.each([1, 2] as const)('x402 v%i', (version) => {
  describe.each([
    ['streamed', true],
    ['whole', false],
  ])('%s', (_name, streamed) => {
    test.each(CASES)(
      '$name (taken: $taken) is paid once at most, and the chain has the last word',
      ({ name, taken }) => {
        const row = report.rows.find(
          (each) =>
            each.name === name &&
            each.taken === taken &&
            each.version === version &&
            each.streamed === streamed,
        )
        const answer = ANSWERS[name]
        expect(row).toEqual({
          name,
          taken,
          version,
          streamed,
          answer,
          booked: answer === '200' ? 'settled (receipt)' : 'uncertain',
          reconciled: taken ? 'settled (chain)' : 'uncertain',
          ended: taken ? 'settled (chain)' : 'released',
          payments: 1,
          transfers: taken ? 1 : 0,
        })
      },
    )
  })
})

test('rule 5: nothing was charged twice, nothing is open, and ledger and chain agree to the last atomic unit', () => {
  expect(report, renderReport(report)).toMatchObject({ doubleCharges: 0, uncertain: 0, auditWhole: true })
  expect(report.ledgerTotal).toBe(report.chainTotal)
  expect(report.chainTotal).toBe(28_000n)
})
