/** The examples of docs/payers.md are configurations that pass every check. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { parseConfig } from '../../src/app/config/load.ts'
import { blocksOf } from '../kit/markdown.ts'

const page = await readFile(join(import.meta.dirname, '../../docs/payers.md'), 'utf8')

test('the example of direct names a key in each of the four ways', () => {
  const block = blocksOf(page).find(({ marker }) => marker === 'direct')
  const env = { TOLLWAY_WALLET_KEY: 'a', WALLET_PASSWORD: 'b', REMOTE_SIGNER_TOKEN: 'c' }
  const config = parseConfig(parse(block?.text ?? ''), env)
  const sources = [...config.payers.values()].map((payer) => ('key' in payer ? payer.key.source : payer.kind))
  expect(sources).toEqual(['env', 'keystore', 'agentcash', 'remote'])
  const obol = config.assets.filter(({ symbol }) => symbol === 'OBOL')
  expect(obol).toMatchObject([{ usd: { numerator: 5n, scale: 2 }, methods: ['permit2'] }])
  expect(config.policy.offerOrder).toBe('cheapest')
})

test('a payer with two places for its key, or with none, is refused with the choice', () => {
  const networks = ['base']
  const check = (payer: object) => () =>
    parseConfig({ payers: { one: { kind: 'direct', networks, ...payer } } }, { K: 'k' })
  expect(check({ key: '${env:K}', agentcash_wallet: 'default' })).toThrow(
    /cannot be combined with key: a payer has one key/,
  )
  expect(check({})).toThrow(/keystore, agentcash_wallet, signer in its place/)
})
