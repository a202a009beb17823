/** An order that is cut off: by SIGKILL in a process of its own, and by a remote signer that goes away. */
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import type { WriteStream } from 'node:tty'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openStore } from '../../src/io/ledger/open-store.ts'
import { run } from '../../src/app/cli/run.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { MAIN } from '../kit/program.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { openShop, type Shop } from '../kit/buying.ts'
import { Child } from '../kit/child.ts'
import { startRemoteSigner } from '../kit/remote-signer.ts'

// A seller that only names its price: what is signed is tried here, not what the chain makes of it.
let seller: ScriptedSeller
let shop: Shop
const CHAIN = { accounts: localAccounts(), v1Network: 'base-sepolia', rpcUrl: 'http://127.0.0.1:1' }

beforeEach(async () => {
  seller = await startScriptedSeller()
  shop = openShop(CHAIN, { chains: {} })
})
afterEach(async () => {
  await seller.close()
  shop.remove()
})

const order = (count: number): string[] => [
  'buy',
  'qwen',
  '--endpoint',
  seller.apiBase,
  '--model',
  'qwen3',
  '--count',
  String(count),
]

/** What the ledger holds: how many vouchers, how many nonces, what is delivered of the order. */
async function books({ directory } = shop): Promise<{
  vouchers: number
  nonces: number
  delivered: number
  ordered: number
}> {
  const store = await openStore(`sqlite:${join(directory, 'tollway.db')}`)
  try {
    const vouchers = await store.vouchers.list({ states: ['ready'], limit: 1000, at: Date.now() })
    const [purchase] = await store.purchases.list()
    return {
      vouchers: vouchers.length,
      nonces: new Set(vouchers.map(({ nonce }) => nonce)).size,
      delivered: purchase?.delivered ?? 0,
      ordered: purchase?.ordered ?? 0,
    }
  } finally {
    await store.close()
  }
}

test('killed half-way, a second run continues without a gap or a duplicate', async () => {
  const signer = await startRemoteSigner([localAccounts().buyer.privateKey])
  const far = openShop(CHAIN, { chains: {} }, signer)
  try {
    // The signer falls silent: the process cannot have finished when it is killed.
    signer.onSign = () => {
      signer.levers.hang = signer.asked.length > 120
    }
    const child = new Child(process.execPath, [MAIN, ...order(150), '--config', far.config], {
      cwd: far.directory,
    })
    await expect
      .poll(async () => (await books(far).catch(() => undefined))?.delivered, { interval: 250 })
      .toBe(100)
    child.kill('SIGKILL')
    expect((await child.end()).code).toBeNull()
    expect(await books(far)).toEqual({ vouchers: 100, nonces: 100, delivered: 100, ordered: 150 })
    signer.onSign = undefined
    signer.levers.hang = false
    const again = await far.tollway(...order(150), '--json')
    expect(again.json()).toMatchObject({ resumed: true, wanted: 50, signed: 50 })
    expect(await books(far)).toEqual({ vouchers: 150, nonces: 150, delivered: 150, ordered: 150 })
  } finally {
    await signer.close()
    far.remove()
  }
})

test('a remote signer signs side by side, shows progress, and an order it left unfinished is continued', async () => {
  const signer = await startRemoteSigner([localAccounts().buyer.privateKey])
  try {
    const payers = {
      far: {
        kind: 'direct',
        networks: ['base-sepolia'],
        signer: { url: signer.url, token: '${env:SIGNER_TOKEN}' },
      },
      bought: { kind: 'obol', mode: 'pool' },
    }
    const config = shop.write('far.yaml', shop.settings({ payers }))
    // Answers come only when four wait: one at a time would never end.
    signer.levers.together = 4
    const terminal = new DrawingTerminal({ SIGNER_TOKEN: signer.token })
    expect(await run([...order(120), '--config', config], terminal)).toBe(0)
    expect(signer.widest()).toBeGreaterThanOrEqual(4)
    expect(signer.widest()).toBeLessThanOrEqual(8)
    // What is drawn in between depends on how fast it goes: see test/cli/progress.test.ts.
    expect(terminal.drawn()).toMatch(/signing \[.*\] 0\/120.*signing \[.*\] 120\/120/)
    signer.levers.together = 1
    const asked = signer.asked.length
    signer.onSign = () => {
      if (signer.asked.length > asked + 120) signer.levers.answer = { status: 503, body: { code: 'GONE' } }
    }
    const gone = new FakeTerminal({ SIGNER_TOKEN: signer.token })
    expect(await run([...order(150), '--config', config], gone)).toBe(1)
    expect(await books()).toMatchObject({ vouchers: 220, delivered: 220, ordered: 270 })
    signer.levers.answer = undefined
    signer.onSign = undefined
    const back = new FakeTerminal({ SIGNER_TOKEN: signer.token })
    expect(await run([...order(150), '--config', config], back)).toBe(0)
    expect(back.out).toContain('Continued an interrupted order: 50 vouchers were missing.')
    expect(await books()).toEqual({ vouchers: 270, nonces: 270, delivered: 270, ordered: 270 })
  } finally {
    await signer.close()
  }
})

test('two runs at once do not do the same work twice', async () => {
  const [one, two] = await Promise.all([shop.tollway(...order(50)), shop.tollway(...order(50))])
  expect([one.code, two.code].toSorted((a, b) => a - b)).toEqual([0, 1])
  expect(one.err + two.err).toContain('is already buying on this ledger')
  expect(await books()).toMatchObject({ vouchers: 50, ordered: 50 })
})

test('limits of the payer that spends hold while it buys', async () => {
  const payers = {
    ...(shop.settings()['payers'] as object),
    bought: { kind: 'obol', mode: 'pool', max_exposure_usd: '0.015' },
  }
  const config = shop.write('tight.yaml', shop.settings({ payers }))
  const bought = await shop.tollway(...order(40), '--config', config)
  expect([bought.code, bought.out]).toEqual([3, expect.stringContaining('Signed 15 of 40')])
  expect(await books()).toMatchObject({ vouchers: 15, ordered: 40, delivered: 15 })
})

/** A terminal that a bar is drawn on. */
class DrawingTerminal extends FakeTerminal {
  readonly #screen = new PassThrough()
  #text = ''
  readonly progress: WriteStream

  constructor(env: Readonly<Record<string, string>>) {
    super(env)
    this.#screen.on('data', (chunk: Buffer) => (this.#text += chunk.toString()))
    this.progress = Object.assign(this.#screen, {
      isTTY: true,
      columns: 100,
      rows: 24,
    }) as unknown as WriteStream
  }

  drawn(): string {
    return this.#text
  }
}
