/** Ctrl-C and SIGTERM while `tollway pay` runs: before the payment, after it, while the answer comes, and twice. */
import type { RequestListener, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { serveOnLoopback } from '../../src/io/transport/loopback.ts'
import { run } from '../../src/app/cli/run.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import { openStore } from '../../src/io/ledger/open-store.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { openShop, type Shop } from '../kit/buying.ts'
import { startRemoteSigner, type RemoteSigner } from '../kit/remote-signer.ts'

const OFFER = {
  scheme: 'exact',
  network: 'base-sepolia',
  maxAmountRequired: '2500',
  resource: 'http://127.0.0.1/',
  payTo: localAccounts().seller.address,
  maxTimeoutSeconds: 60,
  asset: '0x036CbD53842c5426634e7929541eC2318f3dCF7e',
  extra: { name: 'USDC', version: '2' },
}

let signer: RemoteSigner
let shop: Shop
// A service that only takes payments: what the command does is tried here, not what the chain makes of it.
let service: Awaited<ReturnType<typeof serveOnLoopback>>
let reached: PromiseWithResolvers<void>
/** What an unpaid and a paid request get. */
let unpaid: (response: ServerResponse) => void
let paid: (response: ServerResponse) => void

beforeAll(async () => {
  signer = await startRemoteSigner([localAccounts().buyer.privateKey])
})
afterAll(async () => {
  await signer.close()
})
beforeEach(async () => {
  reached = Promise.withResolvers()
  unpaid = (response) => {
    response.writeHead(402, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ x402Version: 1, error: 'pay', accepts: [OFFER] }))
  }
  const listener: RequestListener = (request, response) =>
    (request.headers['x-payment'] === undefined ? unpaid : paid)(response)
  service = await serveOnLoopback(listener)
  const chain = {
    accounts: localAccounts(),
    v1Network: 'base-sepolia' as const,
    rpcUrl: 'http://127.0.0.1:1',
  }
  shop = openShop(chain, { chains: {} }, signer)
})
afterEach(async () => {
  await service.close()
  shop.remove()
})

/** Pays, and stops when the service says so. */
async function payAndStop(
  signals: number,
  ...more: string[]
): Promise<{ code: number; terminal: FakeTerminal }> {
  const terminal = new FakeTerminal()
  const ended = run(['pay', service.url, ...more, '--config', shop.config], terminal)
  await reached.promise
  for (let n = 0; n < signals; n += 1) terminal.signal()
  return { code: await ended, terminal }
}

async function charges(): Promise<Charge[]> {
  const store = await openStore(`sqlite:${join(shop.directory, 'tollway.db')}`)
  try {
    return await store.charges({})
  } finally {
    await store.close()
  }
}

/** The service is silent from here on. */
const silent = (): void => reached.resolve()

test('before the payment it says that nothing was paid, and ends with 1', async () => {
  unpaid = silent
  const { code, terminal } = await payAndStop(1)
  expect([code, terminal.err]).toEqual([1, 'Stopped; nothing was paid.\n'])
  expect(await charges()).toEqual([])
})

test('after the payment it says at once that it may have been taken, books it and ends with 4', async () => {
  paid = silent
  const { code, terminal } = await payAndStop(1)
  expect(code).toBe(4)
  const [charge] = await charges()
  expect(charge).toMatchObject({ state: 'uncertain', reason: 'aborted' })
  expect(terminal.err.split('\n')[0]).toBe(
    `Stopping. A payment (0.0025 USDC, charge ${charge?.id}) was sent and may have been taken; it stays counted. Press Ctrl-C again to exit at once.`,
  )
  expect(terminal.err).toContain('Do not send the request again until the outcome is known.')
})

test('while the answer comes it ends with 4, and the payment stays settled', async () => {
  paid = (response) => {
    response.writeHead(200)
    response.write('Once upon a time...')
  }
  const terminal = new (class extends FakeTerminal {
    override async stdoutBytes(chunk: Uint8Array): Promise<void> {
      await super.stdoutBytes(chunk)
      this.signal()
    }
  })()
  expect(await run(['pay', service.url, '--config', shop.config], terminal)).toBe(4)
  expect(terminal.out).toBe('Once upon a time...')
  expect(terminal.err).toMatch(
    /^Stopping\. The seller has accepted the payment \(0\.0025 USDC, charge chg_\w+\)/,
  )
  expect(await charges()).toMatchObject([{ state: 'settled' }])
})

test.each([
  ['after the payment', 4],
  ['before it', 1],
])('a second signal %s ends at once with %i', async (when, exit) => {
  if (when === 'before it') unpaid = silent
  else paid = silent
  const { terminal } = await payAndStop(2)
  expect(terminal.exits).toEqual([exit])
})

test('tells programs with --json that it was stopped', async () => {
  unpaid = silent
  const { terminal } = await payAndStop(1, '--json')
  expect(JSON.parse(terminal.out)).toMatchObject({ spent: 'no', error: { code: 'stopped' } })
})

test.each([
  [
    '0.0001',
    'The seller asks $0.0025, above --max-usd 0.0001; nothing was paid. Raise --max-usd if you accept this price.',
  ],
  ['0.0002', 'and policy.max_usd_per_request ($0.002) too, if you accept this price.'],
])('a price that --max-usd %s refuses says which limit to raise', async (most, words) => {
  const policy = { max_usd_per_request: most === '0.0001' ? '0.10' : '0.002' }
  const config = shop.write('limits.yaml', shop.settings({ policy }))
  const refused = await shop.tollway('pay', service.url, '--max-usd', most, '--config', config)
  expect([refused.code, refused.err]).toEqual([3, expect.stringContaining(words)])
})
