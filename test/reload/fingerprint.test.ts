import { describe, expect, test } from 'vitest'
import { differingKeys } from '../../src/app/config/reading/fingerprint.ts'
import { parseConfig } from '../../src/app/config/load.ts'
import { restartKeys } from '../../src/app/reload/restart-keys.ts'

const ENV = { KEY: 'sk-first-secret', OTHER: 'sk-second-secret', WALLET: `0x${'11'.repeat(32)}` }
const parse = (config: object, env: Record<string, string> = ENV) => parseConfig(config, env).fingerprint
const differ = (before: object, after: object, env = ENV) => differingKeys(parse(before), parse(after, env))

const ROUTE = { model_name: 'm', api_base: 'http://127.0.0.1:1/v1' }
const PAID = {
  payers: { base: { kind: 'direct', key: '${env:WALLET}', networks: ['base-sepolia'] } },
  model_list: [{ ...ROUTE, payer: 'base' }],
}
const ALL = { name: 'all', limit_usd: '5.00', window: 'day' }

describe('what differs between two configurations', () => {
  test('nothing, where a default is written out, a number is spelled otherwise or keys come in another order', () => {
    expect(differ({ budgets: [ALL] }, { budgets: [{ window: 'day', limit_usd: '5', name: 'all' }] })).toEqual(
      [],
    )
    expect(differ({}, { policy: { max_usd_per_request: '0.10' }, body_limit: '32mb' })).toEqual([])
  })

  test('the changed key of an entry, by the name of the entry and wherever it stands', () => {
    const other = { name: 'other', limit_usd: '1', window: 'month' }
    const before = { budgets: [ALL, other] }
    expect(differ(before, { budgets: [ALL, { ...other, limit_usd: '2' }] })).toEqual([
      'budgets.other.limit_usd',
    ])
    expect(differ(before, { budgets: [{ ...other, limit_usd: '2' }, ALL] })).toEqual([
      'budgets.other.limit_usd',
    ])
  })

  test('an added or removed entry once, not key by key', () => {
    const second = { ...ROUTE, model_name: 'paid/*' }
    expect(differ({ model_list: [ROUTE] }, { model_list: [second, ROUTE] })).toEqual(['model_list["paid/*"]'])
    expect(differ({ model_list: [ROUTE, second] }, { model_list: [ROUTE] })).toEqual(['model_list["paid/*"]'])
  })

  test('the order of routes, where nothing else differs', () => {
    const second = { ...ROUTE, model_name: 'n' }
    expect(differ({ model_list: [ROUTE, second] }, { model_list: [second, ROUTE] })).toEqual(['model_list'])
  })

  test('routes of one name by their number', () => {
    const second = { ...ROUTE, api_base: 'http://127.0.0.1:2/v1' }
    const changed = { ...second, order: 3 }
    expect(differ({ model_list: [ROUTE, second] }, { model_list: [ROUTE, changed] })).toEqual([
      'model_list["m#2"].order',
    ])
  })

  test('keys of mappings by their name', () => {
    const payee = (address: string) => ({
      ...PAID,
      policy: { sellers: { 'http://127.0.0.1:1': { pay_to: [address] } } },
    })
    expect(differ(payee(`0x${'1'.repeat(40)}`), payee(`0x${'2'.repeat(40)}`))).toEqual([
      'policy.sellers["http://127.0.0.1:1"].pay_to',
    ])
  })

  test('a secret whose value changed, without the value and with the same hash', () => {
    const config = { upstream: { api_base: 'http://127.0.0.1:1/v1', api_key: '${env:KEY}' } }
    const [before, after] = [parse(config), parse(config, { ...ENV, KEY: ENV.OTHER })]
    expect(differingKeys(before, after)).toEqual(['upstream.api_key'])
    expect(after.hash).toBe(before.hash)
    expect(JSON.stringify([...after.values])).not.toContain('secret')
  })
})

describe('which keys need a restart', () => {
  test.each([
    'listen',
    'store',
    'audit.path',
    'payers.base.key',
    'payers.base',
    'chains["eip155:1"].rpc',
    'assets.OBOL.usd',
    'admin.key',
    'metrics.token',
    'log.level',
    'timeouts.total_seconds',
    'policy.block_private_networks',
  ])('%s does', (key) => {
    expect(restartKeys([key])).toEqual([key])
  })

  test.each([
    'model_list',
    'model_list["paid/*"]',
    'router.strategy',
    'budgets.all.limit_usd',
    'callers.ci.models',
    'keys.path',
    'policy.max_usd_per_request',
    'policy.sellers["http://a"].pay_to',
    'tags.declared',
    'upstream.api_key',
    'stream.on_disconnect',
    'body_limit',
  ])('%s does not', (key) => {
    expect(restartKeys([key])).toEqual([])
  })
})
