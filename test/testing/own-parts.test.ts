/** The payer and the store of docs/own-payers.md, held to the suites. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import type { Provider } from '../../src/core/payer/provider.ts'
import type { Eip712 } from '../../src/core/payer/typed-message.ts'
import type { Store } from '../../src/io/store/store.ts'
import { claim, NOW, signed, terms } from '../../src/testing/store/samples.ts'
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
const { journalStore } = (await load('store')) as { journalStore: (path: string) => Promise<Store> }

describeProvider('the payer of the page', async () =>
  custodyPayer({
    address: account.address.toLowerCase(),
    networks: ['eip155:84532'],
    sign: async (typed: Eip712) => await account.signTypedData(typed),
  }),
)

let journals = 0
const newJournal = (): string => join(directory, `journal-${(journals += 1)}`)

describeStore('the store of the page', () => journalStore(newJournal()))

/** A charge of 10 under a limit of 25, signed. */
async function signedCharge(store: Store, n: number): Promise<string> {
  await store.reserve(terms(n), [claim(10n, 25n)], false)
  await store.authorize(terms(n).id, signed(n), NOW)
  return terms(n).id
}

describe('the store of the page, opened again', () => {
  test('rule 3: knows every signed charge, sum and key of before', async () => {
    const path = newJournal()
    const before = await journalStore(path)
    const id = await signedCharge(before, 1)
    await before.move(await signedCharge(before, 2), {
      to: 'settled',
      at: NOW,
      reason: 'why',
      proof: 'receipt',
    })
    const told = await stateOf(before)
    await before.close()
    const after = await journalStore(path)
    expect(await after.charge(id)).toMatchObject({ state: 'authorized' })
    expect(await stateOf(after)).toEqual(told)
    await after.close()
  })

  test('rule 2: refuses what does not fit beside the charges of before', async () => {
    const path = newJournal()
    const before = await journalStore(path)
    await signedCharge(before, 1)
    await signedCharge(before, 2)
    await before.close()
    const after = await journalStore(path)
    expect(await after.reserve(terms(3), [claim(10n, 25n)], false)).toMatchObject({ ok: false })
    await after.close()
  })

  test('drops the half of a line that a crash left, and keeps what was answered', async () => {
    const path = newJournal()
    const before = await journalStore(path)
    const id = await signedCharge(before, 1)
    const told = await stateOf(before)
    await before.close()
    appendFileSync(path, 'half of a li')
    const after = await journalStore(path)
    expect(await stateOf(after)).toEqual(told)
    await after.move(id, { to: 'uncertain', at: NOW, reason: 'why' })
    await after.close()
    const last = await journalStore(path)
    expect((await last.charge(id))?.state).toBe('uncertain')
    await last.close()
  })

  test('is refused while another has it open, and free again once that one closed', async () => {
    const path = newJournal()
    const first = await journalStore(path)
    await expect(journalStore(path)).rejects.toMatchObject({ code: 'store_unavailable' })
    await first.close()
    await (await journalStore(path)).close()
  })

  test('rule 9: refuses from the first call on that the disk does not take', async () => {
    const path = newJournal()
    const store = await journalStore(path)
    const probe = await open(path)
    onTestFinished(() => probe.close())
    // What a full disk answers.
    const datasync = vi.spyOn(Object.getPrototypeOf(probe) as typeof probe, 'datasync')
    onTestFinished(() => datasync.mockRestore())
    datasync.mockRejectedValueOnce(new Error('ENOSPC'))
    const refused = { code: 'store_unavailable' }
    await expect(store.reserve(terms(1), [claim(10n, 25n)], false)).rejects.toMatchObject(refused)
    await expect(store.charge(terms(1).id)).rejects.toMatchObject(refused)
    await store.close()
  })
})

async function stateOf(store: Store): Promise<unknown> {
  return [
    await store.charges(),
    await store.totals([claim(0n, 25n)]),
    Buffer.from(await store.digestKey()).toString('hex'),
  ]
}
