/** Signing in instead of paying again, at the official server's own extension, by every kind of wallet that can. */
import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ExactEvmScheme } from '@x402/evm/exact/server'
import { ExactSvmScheme } from '@x402/svm/exact/server'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { startChain, type LocalChain } from '../../src/app/sandbox/chain/chain.ts'
import { startFacilitator, type LocalFacilitator } from '../../src/app/sandbox/facilitator.ts'
import { encodeBase58 } from '../../src/core/solana/base58.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { temporaryDirectory } from '../config/config-file.ts'
import { ask, startGateway, walletPayer, type TestGateway } from '../kit/gateway.ts'
import { startRemoteSigner, type RemoteSigner } from '../kit/remote-signer.ts'
import { startSignInSeller, type SignInSeller } from '../kit/sign-in-seller.ts'
import { DEVNET, startSolanaWorld, type SolanaWorld } from '../kit/solana/world.ts'

let chain: LocalChain
let facilitator: LocalFacilitator
let world: SolanaWorld
let signer: RemoteSigner
let onEvm: SignInSeller
let onSolana: SignInSeller
let tollway: TestGateway | undefined

beforeAll(async () => {
  chain = await startChain()
  facilitator = await startFacilitator(chain)
  world = await startSolanaWorld()
  signer = await startRemoteSigner([chain.accounts.buyer.privateKey])
})
afterEach(async () => {
  await tollway?.close()
  tollway = undefined
  await onEvm?.close()
  await onSolana?.close()
})
afterAll(async () => {
  await signer.close()
  await world.close()
  await facilitator.close()
  await chain.close()
})

async function startSellers(): Promise<void> {
  onEvm = await startSignInSeller({
    facilitatorUrl: facilitator.url,
    network: chain.network,
    scheme: new ExactEvmScheme(),
    payTo: chain.accounts.seller.address,
    // The other kind of chain first: a wallet takes the one that it can sign for.
    chains: [DEVNET, chain.network],
  })
  onSolana = await startSignInSeller({
    facilitatorUrl: world.facilitator.url,
    network: DEVNET,
    scheme: new ExactSvmScheme(),
    payTo: world.seller.address,
    chains: [chain.network, DEVNET],
  })
}

async function open(payer: object, seller: SignInSeller, policy: object): Promise<TestGateway> {
  return await startGateway({
    payers: { wallet: payer },
    chains: { 'solana-devnet': { rpc: world.rpc.url } },
    model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'wallet' }],
    policy,
  })
}

function solanaPayer(): object {
  const name = `TEST_SOLANA_${randomUUID().replaceAll('-', '').toUpperCase()}`
  process.env[name] = encodeBase58(world.buyer.secret)
  return { kind: 'solana', key: `\${env:${name}}`, networks: ['solana-devnet'] }
}

function remotePayer(): object {
  process.env['TEST_SIGN_IN_TOKEN'] = signer.token
  const reference = { url: signer.url, token: '${env:TEST_SIGN_IN_TOKEN}' }
  return { kind: 'direct', signer: reference, networks: [chain.v1Network] }
}

/** Three answers: how the sign-in went, and whether money moved. */
async function threeAnswers(gateway: TestGateway): Promise<unknown[]> {
  const answers: unknown[] = []
  for (let n = 0; n < 3; n += 1) {
    const answer = await ask(gateway.url, { model: 'paid/m' })
    const { headers } = answer
    answers.push([answer.status, headers.get('x-tollway-sign-in'), headers.get('x-tollway-spent')])
    await answer.text()
  }
  return answers
}

test.each<[string, () => object, () => SignInSeller]>([
  ['a key of ours', () => walletPayer(chain), () => onEvm],
  ['a remote signer', remotePayer, () => onEvm],
  ['a key on Solana', solanaPayer, () => onSolana],
])('%s pays the official seller once and signs in for every further answer', async (_what, payer, seller) => {
  await startSellers()
  tollway = await open(payer(), seller(), { sign_in: true })
  expect(await threeAnswers(tollway)).toEqual([
    [200, 'offered', 'yes'],
    [200, 'accepted', 'no'],
    [200, 'accepted', 'no'],
  ])
  expect(seller().events).toEqual(['payment_recorded', 'access_granted', 'access_granted'])
  expect(await tollway.gateway.parts.ledger.store.charges()).toMatchObject([
    { state: 'settled', amount: 1000n },
  ])
  expect(await tollway.metric('tollway_sign_ins_total', { result: 'accepted' })).toBe(2)
})

test('`tollway pay` signs in too, at a service that it paid before', async () => {
  await startSellers()
  process.env['TEST_SIGN_IN_TOKEN'] = signer.token
  const config = join(temporaryDirectory(), 'tollway.yaml')
  await writeFile(
    config,
    JSON.stringify({
      payers: { wallet: remotePayer() },
      policy: { sign_in: true },
      store: 'sqlite:./t.db',
      audit: { path: './a.jsonl' },
    }),
  )
  const receipts: unknown[] = []
  for (let n = 0; n < 2; n += 1) {
    const terminal = new FakeTerminal(process.env as Record<string, string>)
    const url = `${onEvm.apiBase}/chat/completions`
    const data = ['--data', JSON.stringify({ model: 'm', messages: [] })]
    const code = await run(['pay', url, '--method', 'POST', ...data, '--config', config], terminal)
    receipts.push([code, terminal.out.includes('hello')])
  }
  expect(receipts).toEqual([
    [0, true],
    [0, true],
  ])
  expect(onEvm.events).toEqual(['payment_recorded', 'access_granted'])
})

test('it stays off by default at the official seller: each answer is paid, and says that it was offered', async () => {
  await startSellers()
  tollway = await open(solanaPayer(), onSolana, {})
  expect(await threeAnswers(tollway)).toEqual(Array.from({ length: 3 }, () => [200, 'offered', 'yes']))
  expect(onSolana.events).toEqual(Array.from({ length: 3 }, () => 'payment_recorded'))
})
