/** `tollway reconcile` as a process, beside gateways that are killed: what docs/reconciliation.md says, executed. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import { newCheckpointKey } from '../../src/io/audit/audit-signer.ts'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import { openStore } from '../../src/io/ledger/open-store.ts'
import { Child, run, type Ended } from '../kit/child.ts'
import { relay, startFront } from '../kit/front.ts'
import { ask } from '../kit/gateway.ts'
import type { ScriptedSeller } from '../kit/scripted-seller.ts'
import { blocksOf, substitute } from '../kit/markdown.ts'
import { startRpcProxy } from '../kit/rpc-proxy.ts'
import { MAIN } from '../kit/program.ts'

const ROOT = join(import.meta.dirname, '../..')
const page = readFileSync(join(ROOT, 'docs/reconciliation.md'), 'utf8')
const NODE = 'http://127.0.0.1:8545'
const CLOCK = join(ROOT, 'test/kit/clock-ahead.ts')

let world: World
/** The seller's door: what is paid passes here. */
let front: ScriptedSeller
let meet = (forward: () => Promise<Response>): Promise<Response> => forward()
let directory: string
/** How far the tests moved the chain on, seconds: the command's clock follows. */
let ahead = 0
let env: NodeJS.ProcessEnv
const signing = newCheckpointKey()
const children = new Set<Child>()

function block(marker: string): string {
  const found = blocksOf(page).find((candidate) => candidate.marker === marker)
  if (!found) throw new Error(`docs/reconciliation.md has no block marked ${marker}`)
  return found.text
}

beforeAll(async () => {
  world = await startWorld({ maxTimeoutSeconds: 60 })
  front = await startFront(world.seller.url, async (_request, response, forward) => {
    await relay(response, await meet(forward))
  })
  env = {
    ...process.env,
    NO_COLOR: '1',
    WALLET: world.chain.accounts.buyer.privateKey,
    AUDIT_KEY: signing.pem,
  }
  directory = mkdtempSync(join(tmpdir(), 'tollway-reconcile-'))
  writeFileSync(
    join(directory, 'tollway.yaml'),
    `listen: 127.0.0.1:0
store: sqlite:./tollway.db
audit: { path: ./audit.jsonl, signing_key: "\${env:AUDIT_KEY}" }
payers: { base: { kind: direct, key: "\${env:WALLET}", networks: [base-sepolia] } }
model_list: [{ model_name: "paid/*", model: "*", api_base: "${front.apiBase}", payer: base }]
budgets: [{ name: all, limit_usd: "1.00", window: lifetime }]
${substitute(block('chains'), NODE, world.chain.rpcUrl).replace('interval_seconds: 60', 'interval_seconds: 86400')}`,
  )
})

afterEach(() => {
  meet = (forward) => forward()
  for (const child of children) child.kill('SIGKILL')
})

afterAll(async () => {
  await front?.close()
  await world?.close()
  rmSync(directory, { recursive: true, force: true })
})

async function serve(): Promise<{ child: Child; url: string }> {
  const child = new Child(process.execPath, [MAIN, 'serve', '--config', 'tollway.yaml'], {
    cwd: directory,
    env,
  })
  children.add(child)
  const [, url = ''] = await child.says(/ready at (http:\/\/\S+)\/v1/)
  return { child, url }
}

/** The commands of the page, as they stand there. */
const commands = block('reconcile')
  .trimEnd()
  .split('\n')
  .map((line) => line.split(' '))

async function increaseTime(seconds: number): Promise<void> {
  await world.chain.levers.increaseTime(seconds)
  ahead += seconds
}

/** A command whose clock is as far ahead as the chain. */
function tollway(args: readonly string[]): Promise<Ended> {
  return run(process.execPath, ['--import', CLOCK, MAIN, ...args], {
    cwd: directory,
    env: { ...env, TEST_CLOCK_AHEAD_SECONDS: String(ahead) },
  })
}

function reconcile(options: { json: boolean }): Promise<Ended> {
  const [npx, name, ...args] = commands[options.json ? 1 : 0] ?? []
  expect([npx, name]).toEqual(['npx', 'tollway'])
  expect(args.includes('--json')).toBe(options.json)
  return tollway(args)
}

async function charges(): Promise<Charge[]> {
  const store = await openStore(`sqlite:${join(directory, 'tollway.db')}`)
  try {
    return await store.charges()
  } finally {
    await store.close()
  }
}

/** Kills the gateway when its seller has the payment and has not answered. Gives what hands the payment to the real seller. */
async function killAfterSend({ child, url }: { child: Child; url: string }, seed: number) {
  const sent = Promise.withResolvers<() => Promise<Response>>()
  meet = (forward) => {
    sent.resolve(forward)
    return new Promise(() => undefined)
  }
  const asking = ask(url, { model: 'paid/m', seed }).catch(() => undefined)
  const forward = await sent.promise
  child.kill('SIGKILL')
  await child.end()
  await asking
  meet = (direct) => direct()
  return forward
}

/** What the newest record of an audit file tells. */
function lastType(name: string): unknown {
  const lines = readFileSync(join(directory, name), 'utf8').trimEnd().split('\n')
  return (JSON.parse(lines.at(-1) ?? '') as Record<string, unknown>)['type']
}

test('kill -9 twice, one payment taken and one not: the books end equal to the chain, to the atom', async () => {
  const take = await killAfterSend(await serve(), 1)
  expect((await take()).status).toBe(200)
  await killAfterSend(await serve(), 2)
  await increaseTime(2)

  const first = await reconcile({ json: false })
  const [{ transaction } = { transaction: '' }] = await world.chain.transfers({
    to: world.chain.accounts.seller.address,
  })
  expect(first.stdout).toMatch(/^NETWORK +NODE +BLOCK +CHECKED\nbase-sepolia +ok +\d+ +2\n/)
  expect(first.stdout).toMatch(
    new RegExp(`^chg_[0-9a-z]{24} +0\\.001 USDC +uncertain +settled +chain_used +${transaction}$`, 'm'),
  )
  expect(first.stdout).toContain(
    'Uncertain: 1 (0.001 USD), counted as spent until the chain proves otherwise.\n',
  )
  expect(first).toMatchObject({ code: 4, stderr: '' })

  await increaseTime(62)
  const second = await reconcile({ json: true })
  expect(second).toMatchObject({ code: 0, stderr: '' })
  expect(JSON.parse(second.stdout)).toMatchObject({
    networks: [{ network: 'eip155:84532', ok: true, reason: null, looked: 1 }],
    changed: [
      { from: 'uncertain', to: 'released', reason: 'chain_unused', amount: '1000', transaction: null },
    ],
    without_node: [],
    uncertain: { count: 0, usd: '0' },
    flags: [],
  })

  const booked = (await charges()).filter(({ state }) => state === 'settled')
  const moved = await world.chain.transfers({ from: world.chain.accounts.buyer.address })
  expect(booked.map(({ amount }) => amount)).toEqual(moved.map(({ value }) => value))
  // The gateways were killed before they could sign: the signature at the end is the command's.
  const { publicKey } = signing
  const verdict = await verifyAudit(join(directory, 'audit.jsonl'), { publicKey })
  expect(verdict).toMatchObject({ ok: true, openIntents: [], checkpoints: { keys: [publicKey] } })
  expect(lastType('audit.jsonl')).toBe('audit.checkpoint')
})

test('rule 10: beside a gateway it writes an audit file of its own, and leaves payments in flight alone', async () => {
  const { child, url } = await serve()
  // The chain is ahead of this machine by now: the seller refuses, and the payment stays uncertain.
  await ask(url, { model: 'paid/m', seed: 3 })
  const arrived = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<void>()
  meet = async (forward) => {
    arrived.resolve()
    await answer.promise
    return await forward()
  }
  const flying = ask(url, { model: 'paid/m', seed: 4 })
  await arrived.promise
  await increaseTime(62)

  const ended = await reconcile({ json: true })
  expect(ended).toMatchObject({ code: 0, stderr: '' })
  const { changed } = JSON.parse(ended.stdout) as { changed: { charge: string }[] }
  expect(changed).toMatchObject([{ from: 'uncertain', to: 'released' }])
  expect((await charges())[0]).toMatchObject({ state: 'authorized' })
  answer.resolve()
  await flying

  const own = readFileSync(join(directory, 'audit.reconcile.jsonl'), 'utf8')
  expect(own).toContain(`"charge":"${changed[0]?.charge}"`)
  const { publicKey } = signing
  expect(await verifyAudit(join(directory, 'audit.reconcile.jsonl'), { publicKey })).toMatchObject({
    ok: true,
    checkpoints: { keys: [publicKey] },
  })
  expect(lastType('audit.reconcile.jsonl')).toBe('audit.checkpoint')
  child.kill('SIGTERM')
  expect((await child.end()).code).toBe(0)
  expect(await verifyAudit(join(directory, 'audit.jsonl'))).toMatchObject({ ok: true, openIntents: [] })
})

describe('what it cannot do it says, with its exit code', () => {
  async function reconcileWith(config: string): Promise<Ended> {
    writeFileSync(join(directory, 'other.yaml'), config)
    return await tollway(['reconcile', '--config', 'other.yaml'])
  }
  const chains = (rpc: string): string => `chains: { base-sepolia: { rpc: "${rpc}" } }\n`

  test('2 without a node', async () => {
    const ended = await reconcileWith('store: sqlite:./tollway.db\n')
    expect(ended).toMatchObject({ code: 2, stdout: '' })
    expect(ended.stderr).toMatch(/^chains: no node is configured/)
  })

  test('1 without a ledger, and it makes none', async () => {
    const ended = await reconcileWith(
      `store: sqlite:./none.db\naudit: { path: ./none.jsonl }\n${chains(world.chain.rpcUrl)}`,
    )
    expect(ended).toMatchObject({ code: 1, stdout: '' })
    expect(ended.stderr).toMatch(/^There is no ledger at .*none\.db yet/)
    expect(() => readFileSync(join(directory, 'none.db'))).toThrow(/ENOENT/)
  })

  test('2 for a ledger in memory', async () => {
    expect(await reconcileWith(`store: memory\n${chains(world.chain.rpcUrl)}`)).toMatchObject({ code: 2 })
  })

  test('begins its audit file anew as the configuration says, and notes in the ledger how far it goes', async () => {
    const ended = await reconcileWith(
      `store: sqlite:./tollway.db\naudit: { path: ./audit.jsonl, rotate_bytes: 1kb, signing_key: "\${env:AUDIT_KEY}" }\n${chains(world.chain.rpcUrl)}`,
    )
    expect(ended.stderr).toBe('')
    expect(readdirSync(directory).filter((name) => /^audit\.jsonl\.\d{12}$/.test(name))).not.toEqual([])
    const store = await openStore(`sqlite:${join(directory, 'tollway.db')}`)
    const heads = await store.auditHeads()
    await store.close()
    expect(heads.map(({ file }) => file)).toContain(join(directory, 'audit.jsonl'))
  })

  test('1 when the node cannot be reached, and it is not named', async () => {
    const ended = await reconcileWith(
      `store: sqlite:./tollway.db\n${chains('http://127.0.0.1:1/secret-key')}`,
    )
    expect(ended.code).toBe(1)
    expect(ended.stdout).toMatch(/^base-sepolia +unreachable +- +0$/m)
    expect(ended.stderr).toContain('gave no usable answer')
    expect(ended.stdout + ended.stderr).not.toContain('secret-key')
  })

  test('4 when open payments are on a network without a node', async () => {
    const { child, url } = await serve()
    await ask(url, { model: 'paid/m', seed: 5 })
    child.kill('SIGTERM')
    await child.end()
    const node = await startRpcProxy(world.chain.rpcUrl)
    node.lie = async (call, forward) => (call.method === 'eth_chainId' ? '0x2105' : await forward(call))
    const ended = await reconcileWith(
      `store: sqlite:./tollway.db\nchains: { base: { rpc: "${node.url}" } }\n`,
    )
    await node.close()
    expect(ended.stdout).toContain(
      'No node is configured for base-sepolia: its unresolved payments stay counted.',
    )
    expect(ended.stdout).toContain('Uncertain: 1 ')
    expect(ended).toMatchObject({ code: 4, stderr: '' })
  })
})
