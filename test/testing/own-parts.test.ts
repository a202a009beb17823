/** The payer and the store of docs/own-payers.md, held to the suites. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import type { Provider } from '../../src/core/payer/provider.ts'
import type { Eip712 } from '../../src/core/payer/typed-message.ts'
import type { Store } from '../../src/io/store/store.ts'
import { describeProvider, describeStore } from '../../src/testing/suites.ts'
import { blocksOf } from '../kit/markdown.ts'

const ROOT = join(import.meta.dirname, '../..')
const page = readFileSync(join(ROOT, 'docs/own-payers.md'), 'utf8')

const directory = mkdtempSync(join(tmpdir(), 'tollway-own-parts-'))
afterAll(() => rmSync(directory, { recursive: true }))

const ENTRIES: Readonly<Record<string, string>> = {
  'tollway/providers': 'providers/index.ts',
  'tollway/testing': 'src/testing/index.ts',
}

async function load(marker: string): Promise<unknown> {
  const block = blocksOf(page).find((candidate) => candidate.marker === marker)
  if (!block) throw new Error(`docs/own-payers.md has no block ${marker}`)
  const source = block.text.replace(
    /'(tollway\/\w+)'/g,
    (_whole, entry: string) => `'${join(ROOT, ENTRIES[entry] ?? entry)}'`,
  )
  const file = join(directory, `${marker}.ts`)
  writeFileSync(file, source)
  return (await import(file)) as unknown
}

const account = privateKeyToAccount(generatePrivateKey())
const { custodyPayer } = (await load('payer')) as {
  custodyPayer: (options: object) => Provider
}
const { countingStore } = (await load('store')) as { countingStore: (calls: Map<string, number>) => Store }

describeProvider('the payer of the page', async () =>
  custodyPayer({
    address: account.address.toLowerCase(),
    networks: ['eip155:84532'],
    sign: async (typed: Eip712) => await account.signTypedData(typed),
  }),
)

const calls = new Map<string, number>()
describeStore('the store of the page', () => countingStore(calls))

test('the store of the page counted the calls of the suite', () => {
  expect(calls.get('reserve')).toBeGreaterThan(10)
})
