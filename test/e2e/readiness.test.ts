/** Readiness says what paid calls say: for every payer that cannot authorize. Ledger, disk and audit: durability.test.ts. */
import { describe, expect, test } from 'vitest'
import { readinessChecks } from '../../src/app/gateway/readiness.ts'
import { TollwayError, type ErrorCode } from '../../src/core/errors.ts'
import type { Provider } from '../../src/core/payer/provider.ts'

const space = { check: () => undefined }

type Health = 'able' | 'unable' | 'unknown'

function payer(state: Health, code: ErrorCode = 'signer_unavailable'): Provider {
  const base = {
    name: 'x',
    networks: [],
    supports: () => true,
    authorize: () => Promise.reject(new TollwayError({ code, message: 'gone' })),
    closed: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
  if (state === 'unknown') return base
  const check = state === 'able' ? () => Promise.resolve() : () => base.authorize()
  return { ...base, check }
}

/** @returns the codes of the required checks that fail */
async function failing(
  states: readonly Health[],
  ping = (): Promise<void> => Promise.resolve(),
): Promise<string[]> {
  const payers = new Map(states.map((state, at): [string, Provider] => [`p${at}`, payer(state)]))
  const routes = [...states.map((_state, at) => ({ payer: `p${at}` })), { payer: undefined }]
  const { required } = readinessChecks({ routes, payers, ledger: { ping }, space })
  const codes: string[] = []
  for (const check of Object.values(required)) {
    await check().catch((error: unknown) => codes.push(error instanceof TollwayError ? error.code : 'other'))
  }
  return codes
}

describe('readiness', () => {
  test.each<[readonly Health[], string[]]>([
    [['able'], []],
    [['unable'], ['signer_unavailable']],
    [['unable', 'unable'], ['signer_unavailable']],
    [['unable', 'able'], []],
    [['unable', 'unknown'], []],
    [['unknown'], []],
  ])('with payers that are %j fails with %j: only when every paid call would', async (states, codes) => {
    expect(await failing(states)).toEqual(codes)
  })

  test.each<ErrorCode>(['store_unavailable', 'audit_unavailable'])(
    'fails with %s of the ledger',
    async (code) => {
      const ping = (): Promise<void> => Promise.reject(new TollwayError({ code, message: 'x' }))
      expect(await failing(['able'], ping)).toEqual([code])
    },
  )

  test('of a gateway without paid routes needs nothing, and still tells of its ledger', () => {
    const ping = (): Promise<void> => Promise.resolve()
    const checks = readinessChecks({
      routes: [{ payer: undefined }],
      payers: new Map(),
      ledger: { ping },
      space,
    })
    expect(Object.keys(checks.required)).toEqual([])
    expect(Object.keys(checks.checks)).toEqual(['ledger', 'disk'])
  })
})
