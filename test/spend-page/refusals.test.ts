import { describe, expect, test } from 'vitest'
import { ERROR_TABLE } from '../../src/core/error-table.ts'
import type { ErrorCode } from '../../src/core/errors.ts'
import type { RequestSummary } from '../../src/core/telemetry/events.ts'
import { distinct, moneyTicks } from '../../src/app/spend-page/client/chart.ts'
import { adviceFor } from '../../src/app/spend-page/refusal-advice.ts'
import { KEPT_REFUSALS, Refusals } from '../../src/app/spend-page/refusals.ts'

const SUMMARY: RequestSummary = {
  requestId: 'req_1',
  method: 'POST',
  endpoint: '/chat/completions',
  caller: 'ci',
  route: 'paid/*',
  payer: 'base',
  model: 'paid/x',
  provider: 'seller.test',
  status: 402,
  outcome: 'refused',
  code: 'budget_exhausted',
  charge: undefined,
  spent: 'no',
  usage: undefined,
  stream: false,
  truncated: false,
  seconds: 0.1,
  firstByteSeconds: undefined,
  details: {},
}

function told(...changes: readonly Partial<RequestSummary>[]): Refusals {
  const refusals = new Refusals(() => Date.parse('2026-03-10T12:00:00Z'))
  for (const change of changes) refusals.observe({ type: 'request', summary: { ...SUMMARY, ...change } })
  return refusals
}

describe('what was refused', () => {
  test('names the budget, its subject and the amounts, and how to lift it', () => {
    const details = {
      budget: 'each',
      per: 'caller',
      subject: 'ci',
      wanted_usd: '0.18',
      limit_usd: '1',
      spent_usd: '0.9',
      pending_usd: '0',
    }
    expect(told({ details }).list()).toEqual([
      expect.objectContaining({
        id: 'ref_1',
        time: '2026-03-10T12:00:00.000Z',
        state: 'refused',
        code: 'budget_exhausted',
        budget: 'each',
        subject: 'ci',
        usd: '0.18',
        seller: 'seller.test',
        why: 'Budget each (caller ci): $0.18 wanted, $0.9 spent and $0 pending of $1.',
        lift: 'Wait for the end of the window, or raise the limit of this budget.',
      }),
    ])
  })

  test('has failures of sellers, and errors of upstreams that only have a status', () => {
    const failed = told(
      {
        code: 'seller_unavailable',
        status: 503,
        outcome: 'failed',
        details: { reason: 'connect', errno: 'ECONNREFUSED' },
      },
      { code: undefined, status: 500, outcome: 'free', payer: 'none' },
    ).list()
    expect(failed.map(({ state, code, why }) => [state, code, why])).toEqual([
      ['failed', 'status_500', 'The upstream answered with status 500 (status_500).'],
      ['failed', 'seller_unavailable', 'The seller cannot be reached: reason connect, errno ECONNREFUSED.'],
    ])
  })

  test.each<[ErrorCode, readonly string[], string | undefined]>([
    [
      'network_not_allowed',
      ["Add the network to the payer's networks if you mean to pay there: networks: [base-sepolia, base]."],
      'networks: [base-sepolia, base]',
    ],
    [
      'price_above_limit',
      ['Raise policy.max_usd_per_request: policy: { max_usd_per_request: "0.5" }.'],
      'policy: { max_usd_per_request: "0.5" }',
    ],
    [
      'payee_not_allowed',
      ['Accept it: `tollway sellers trust https://seller.test 0xab`.'],
      'sellers trust https',
    ],
    ['endpoint_not_paid', ['Write on the route: paid_endpoints: [/images].'], 'paid_endpoints: [/images]'],
    ['paid_not_delivered', ['Do not resend: it would be paid again.'], undefined],
    ['seller_unavailable', [], undefined],
  ])('says how to lift it with the line to copy, where the error had one: %s', (code, advice, line) => {
    const [{ lift } = { lift: '' }] = told({ code, advice }).list()
    if (line === undefined) expect(lift).toBe(adviceFor(code))
    else expect(lift).toContain(line)
  })

  test('is nothing that was answered, is not for a model, or whose client left', () => {
    const none = told(
      { code: undefined, status: 200, outcome: 'paid' },
      { code: 'invalid_query', endpoint: '/api/charges', method: 'GET' },
      { code: 'invalid_api_key', endpoint: '/admin/keys' },
      { code: 'not_found', endpoint: 'other' },
      { code: undefined, status: 499, outcome: 'failed' },
    )
    expect([none.list(), none.total]).toEqual([[], 0])
  })

  test('is kept up to a number, the newest first, and counted beyond', () => {
    const many = told(...Array.from({ length: KEPT_REFUSALS + 5 }, (_, n) => ({ requestId: `r${n}` })))
    expect(many.list()).toHaveLength(KEPT_REFUSALS)
    expect(many.list()[0]?.request).toBe(`r${KEPT_REFUSALS + 4}`)
    expect(many.total).toBe(KEPT_REFUSALS + 5)
  })

  test('has a sentence of advice of its own for every refusal by policy, budget and funds', () => {
    const general = adviceFor('internal_error')
    const codes = (Object.keys(ERROR_TABLE) as ErrorCode[]).filter((code) =>
      /_not_allowed$|^price_|^pool_|^payment_|_unavailable$|^budget_|funds|^seller_/.test(code),
    )
    const without = codes.filter((code) => adviceFor(code) === general)
    expect(without.filter((code) => !/^(?:fee_payer|memo|method)_/.test(code))).toEqual([])
  })
})

describe('the ticks of an axis', () => {
  test.each([
    [
      [0, 0.0025, 0.005, 0.0075],
      ['$0.0000', '$0.0025', '$0.0050', '$0.0075'],
    ],
    [
      [0, 0.5, 1],
      ['$0.00', '$0.50', '$1.00'],
    ],
    [
      [0, 0.0000002, 0.0000004],
      ['$0.0000000', '$0.0000002', '$0.0000004'],
    ],
    [
      [0, 0.1 + 0.2],
      ['$0.00', '$0.30'],
    ],
  ])('are exact and differ: %j', (values, labels) => {
    expect(moneyTicks(values)).toEqual(labels)
  })

  test('say nothing twice in a row', () => {
    expect(distinct(['1 Mar', '1 Mar', '2 Mar', '2 Mar'])).toEqual(['1 Mar', '', '2 Mar', ''])
  })
})
