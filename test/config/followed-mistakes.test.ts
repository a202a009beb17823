/** A message about a configuration that says "add it, such as …" is followed word for word, and the configuration loads. */
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { parseConfig } from '../../src/app/config/load.ts'
import { ConfigError } from '../../src/core/errors.ts'
import { linesIn } from '../kit/follow-advice.ts'

type Written = Readonly<Record<string, unknown>>

const ENV = {
  TOLLWAY_WALLET_KEY: 'unused',
  TOLLWAY_KEY: 'sk-tollway-caller-key-1',
  TOLLWAY_METRICS_TOKEN: 'metrics-token-of-some-length',
  TOLLWAY_ADMIN_KEY: 'admin-key-of-some-length',
  SOLANA_KEY: 'unused',
  SOLANA_RPC: 'http://127.0.0.1:8899',
}

function messageOf(config: Written): string {
  try {
    parseConfig(config, ENV)
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  throw new Error('the configuration loads')
}

const budget = (fields: Written): Written => ({ budgets: [{ name: 'all', window: 'day', ...fields }] })
const payer = { kind: 'direct', key: '${env:TOLLWAY_WALLET_KEY}', networks: ['base'] }

describe('what a message says to add at the top of the file loads', () => {
  it.each<[string, Written]>([
    ['callers', { listen: '0.0.0.0:8402', metrics: { listen: '127.0.0.1:9464' } }],
    [
      'the token of metrics on the same address',
      { listen: '0.0.0.0:8402', callers: [{ id: 'a', key: '${env:TOLLWAY_KEY}' }] },
    ],
    [
      'a node of Solana',
      { payers: { sol: { kind: 'solana', key: '${env:SOLANA_KEY}', networks: ['solana'] } } },
    ],
    [
      'a node of devnet',
      { payers: { sol: { kind: 'solana', key: '${env:SOLANA_KEY}', networks: ['solana-devnet'] } } },
    ],
  ])('%s', (_what, config) => {
    const [line] = linesIn(messageOf(config))
    expect(line).toBeDefined()
    expect(() => parseConfig({ ...config, ...line }, ENV)).not.toThrow()
  })
})

describe('what a message says to add beside the key at fault loads', () => {
  it.each<[string, Written, (config: Written, line: Written) => Written]>([
    ['the limit of a budget', budget({}), (_c, line) => budget(line)],
    [
      'its subjects',
      budget({ limits: { default: '1.00' } }),
      (_c, line) => budget({ limits: { default: '1.00' }, ...line }),
    ],
    [
      'one subject',
      budget({ per: 'caller', limits: {} }),
      (_c, line) => budget({ per: 'caller', limits: line }),
    ],
    ['its token', budget({ limit: '1000' }), (_c, line) => budget({ limit: '1000', ...line })],
    [
      'the prices of a keyed model',
      {
        ...budget({ limit_usd: '1' }),
        policy: { require_price: true },
        model_list: [{ model_name: 'm', api_base: 'https://x.test/v1' }],
      },
      (config, line) => ({
        ...config,
        model_list: [{ model_name: 'm', api_base: 'https://x.test/v1', ...line }],
      }),
    ],
    [
      'the token of metrics on an address of their own',
      { metrics: { listen: '0.0.0.0:9464' } },
      (_c, line) => ({ metrics: { listen: '0.0.0.0:9464', ...line } }),
    ],
    [
      'the key of a payer',
      { payers: { base: { kind: 'direct', networks: ['base'] } } },
      (_c, line) => ({ payers: { base: { kind: 'direct', networks: ['base'], ...line } } }),
    ],
    [
      'the networks of a payer',
      { payers: { base: { ...payer, networks: undefined } } },
      (_c, line) => ({ payers: { base: { ...payer, ...line } } }),
    ],
    [
      'the address of a route',
      { payers: { base: payer }, model_list: [{ model_name: 'm', payer: 'base' }] },
      (config, line) => ({ ...config, model_list: [{ model_name: 'm', payer: 'base', ...line }] }),
    ],
    [
      'the name of a route',
      { model_list: [{ api_base: 'https://x.test/v1' }] },
      (_c, line) => ({ model_list: [{ api_base: 'https://x.test/v1', ...line }] }),
    ],
    [
      'the name of a budget',
      { budgets: [{ limit_usd: '1', window: 'day' }] },
      (_c, line) => ({ budgets: [{ limit_usd: '1', window: 'day', ...line }] }),
    ],
    [
      'the window of a budget',
      { budgets: [{ name: 'a', limit_usd: '1' }] },
      (_c, line) => ({ budgets: [{ name: 'a', limit_usd: '1', ...line }] }),
    ],
    [
      'the id of a caller',
      { callers: [{ key: '${env:TOLLWAY_KEY}' }] },
      (_c, line) => ({ callers: [{ key: '${env:TOLLWAY_KEY}', ...line }] }),
    ],
    ['the key of a caller', { callers: [{ id: 'a' }] }, (_c, line) => ({ callers: [{ id: 'a', ...line }] })],
    ['the node of a chain', { chains: { base: {} } }, (_c, line) => ({ chains: { base: line } })],
    [
      'the token of an asset',
      { assets: [{ network: 'base', symbol: 'X', decimals: 6 }] },
      (_c, line) => ({ assets: [{ network: 'base', symbol: 'X', decimals: 6, ...line }] }),
    ],
    ['the file of keys', { keys: {} }, (_c, line) => ({ keys: line })],
  ])('%s', (_what, config, apply) => {
    const message = messageOf(config)
    const line = /(?:such as |\()([a-z_]+: .+?)(?:\)|, or|\.$|\.? Set|\n|$)/.exec(message)?.[1]
    if (line === undefined) throw new Error(`nothing to add in: ${message}`)
    expect(() =>
      parseConfig(apply(config, parse(line.replace(/\.$/, '')) as Written), { ...ENV, ...names(line) }),
    ).not.toThrow()
  })
})

/** The variables that a line names are set by whoever follows it. */
function names(line: string): Record<string, string> {
  return Object.fromEntries(
    [...line.matchAll(/\$\{env:([A-Z0-9_]+)\}/g)].map(([, name]) => [name ?? '', 'a-value-of-some-length']),
  )
}
