import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { readBalances } from '../../src/app/buying/balance.ts'
import { loadConfig } from '../../src/app/config/load.ts'
import { openStore } from '../../src/io/ledger/open-store.ts'
import { encodeBase58 } from '../../src/core/solana/base58.ts'
import { ask, errorOf } from '../kit/gateway.ts'
import { challengeV2, decodeHeader } from '../kit/seller-answers.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { signAs } from '../kit/solana/chain.ts'
import { DEVNET, DEVNET_USDC, startSolanaWorld, type SolanaWorld } from '../kit/solana/world.ts'
import { MAIN } from '../kit/program.ts'

let world: SolanaWorld
let seller: ScriptedSeller
let directory: string
let env: Record<string, string>
/** Resolves with the payment header of the next paid request, which is never answered. */
let paid: PromiseWithResolvers<string>
const children = new Set<ChildProcess>()

beforeAll(async () => {
  world = await startSolanaWorld()
  directory = await mkdtemp(join(tmpdir(), 'tollway-solana-crash-'))
  const offer = {
    scheme: 'exact',
    network: DEVNET,
    amount: '1000',
    asset: DEVNET_USDC,
    payTo: world.seller.address,
    maxTimeoutSeconds: 60,
    extra: { feePayer: world.feePayer.address },
  }
  seller = await startScriptedSeller({
    unpaid: challengeV2([offer]),
    paid: ({ payment = '' }) => paid.resolve(payment),
  })
  env = { CRASH_SOLANA: encodeBase58(world.buyer.secret) }
  const config = `
listen: 127.0.0.1:0
payers: { sol: { kind: solana, key: "\${env:CRASH_SOLANA}", networks: [solana-devnet] } }
chains: { solana-devnet: { rpc: "${world.rpc.url}" } }
model_list: [{ model_name: "paid/*", model: "*", api_base: "${seller.apiBase}", payer: sol }]
budgets: [{ name: all, limit_usd: "0.0015", window: lifetime }]
`
  await writeFile(join(directory, 'tollway.yaml'), config)
})
afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
})
afterAll(async () => {
  await seller.close()
  await world.close()
  await rm(directory, { recursive: true, force: true })
})

/** Starts a command of the real program. */
function run(...words: string[]): ChildProcess {
  const child = spawn(process.execPath, [MAIN, ...words, '--config', join(directory, 'tollway.yaml')], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.add(child)
  return child
}

async function serve(): Promise<{ child: ChildProcess; url: string }> {
  const child = run('serve')
  if (!child.stdout) throw new Error('the gateway has no output')
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0]
    if (url !== undefined) return { child, url }
  }
  throw new Error('the gateway ended before it was ready')
}

test('rule 4: after kill -9 between record and reply, a payment on Solana is counted, never paid again, and settled by the chain', async () => {
  paid = Promise.withResolvers()
  const first = await serve()
  const lost = ask(first.url, { model: 'paid/sandbox-small' }).catch(() => undefined)
  const header = await paid.promise
  first.child.kill('SIGKILL')
  await once(first.child, 'exit')
  await lost

  const second = await serve()
  // The same words to another model are the same call; other words are another, and find the budget taken.
  const again = await ask(second.url, { model: 'paid/other' })
  expect((await errorOf(again)).code).toBe('payment_uncertain')
  const messages = [{ role: 'user', content: 'something else' }]
  const refused = await ask(second.url, { model: 'paid/other', messages })
  expect((await errorOf(refused)).code).toBe('budget_exhausted')
  expect(seller.payments).toHaveLength(1)
  second.child.kill('SIGTERM')
  await once(second.child, 'exit')

  const { payload } = decodeHeader(header) as { payload: { transaction: string } }
  const before = world.balances()
  const sent = world.chain.send(signAs(world.feePayer, Buffer.from(payload.transaction, 'base64')))
  expect(sent.ok).toBe(true)
  expect(before.buyer - world.balances().buyer).toBe(1000n)

  const reconcile = run('reconcile')
  const [code] = (await once(reconcile, 'exit')) as [number]
  expect(code).toBe(0)
  const store = await openStore(`sqlite:${join(directory, 'tollway.db')}`)
  expect(await store.charges()).toMatchObject([
    { state: 'settled', proof: 'chain', amount: 1000n, transaction: sent.ok ? sent.signature : '' },
  ])
  await store.close()
})

test('tollway balance knows tokens and SOL of a wallet on Solana', async () => {
  process.env['CRASH_SOLANA'] = env['CRASH_SOLANA']
  const config = loadConfig(join(directory, 'tollway.yaml'), process.env)
  const balances = await readBalances(config, undefined)
  const { buyer } = world.balances()
  expect(balances.find(({ token }) => token === 'USDC')).toMatchObject({
    payer: 'sol',
    address: world.buyer.address,
    network: 'solana-devnet',
    balance: `${buyer / 1_000_000n}.${(buyer % 1_000_000n).toString().padStart(6, '0').replace(/0+$/, '')}`,
    permit2Allowance: undefined,
    problem: undefined,
  })
  expect(balances.find(({ token }) => token === 'native')).toMatchObject({ balance: '0', problem: undefined })
  // Mints that this chain does not have.
  expect(balances.find(({ token }) => token === 'PYUSD')).toMatchObject({ problem: 'not_deployed' })
})
