import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import { openStore } from '../../src/io/ledger/open-store.ts'
import { ask, errorOf } from '../kit/gateway.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { type ScriptedSeller } from '../kit/scripted-seller.ts'
import { MAIN } from '../kit/program.ts'

let directory: string
let seller: ScriptedSeller
/** Resolves with the payment header of the next paid request, which is never answered. */
let paid: PromiseWithResolvers<string>
const children = new Set<ChildProcess>()

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tollway-crash-'))
  seller = await startScriptedSeller({ paid: ({ payment = '' }) => paid.resolve(payment) })
  const config = `
listen: 127.0.0.1:0
payers: { base: { kind: direct, key: "\${env:CRASH_WALLET}", networks: [base-sepolia] } }
model_list: [{ model_name: "paid/*", model: "*", api_base: "${seller.apiBase}", payer: base }]
budgets: [{ name: all, limit_usd: "0.0015", window: lifetime }]
`
  await writeFile(join(directory, 'tollway.yaml'), config)
})

afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
})

afterAll(async () => {
  await seller?.close()
  await rm(directory, { recursive: true, force: true })
})

/** Starts the real gateway process; resolves with its address when it is ready. */
async function serve(): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, [MAIN, 'serve', '--config', join(directory, 'tollway.yaml')], {
    env: { ...process.env, CRASH_WALLET: localAccounts().buyer.privateKey },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.add(child)
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0]
    if (url !== undefined) return { child, url }
  }
  throw new Error('the gateway ended before it was ready')
}

test('rule 4: after kill -9 between record and reply, the restarted gateway counts the charge as uncertain and never pays it again', async () => {
  paid = Promise.withResolvers()
  const first = await serve()
  const lost = ask(first.url, { model: 'paid/m' }).catch(() => 'no answer')
  const signature = await paid.promise
  first.child.kill('SIGKILL')
  await once(first.child, 'exit')
  expect(await lost).toBe('no answer')

  const second = await serve()
  const { budgets } = (await (await fetch(`${second.url}/api/budgets`)).json()) as { budgets: object[] }
  expect(budgets).toMatchObject([
    { spent_usd: '0', held_usd: '0', uncertain_usd: '0.001', remaining_usd: '0.0005' },
  ])
  expect(await (await fetch(`${second.url}/metrics`)).text()).toMatch(/^tollway_uncertain_payments 1$/m)

  // Counted: the next call does not fit beside it. Never paid again: the seller sees the signature once.
  const stopped = await ask(second.url, { model: 'paid/m', seed: 1 })
  expect([stopped.status, (await errorOf(stopped)).code]).toEqual([402, 'budget_exhausted'])
  const repeated = await ask(second.url, { model: 'paid/m' })
  expect([repeated.status, (await errorOf(repeated)).code]).toEqual([400, 'payment_uncertain'])
  const signatures = seller.requests.flatMap(({ headers }) => headers['payment-signature'] ?? [])
  expect(signatures).toEqual([signature])

  second.child.kill('SIGTERM')
  expect((await once(second.child, 'exit'))[0]).toBe(0)
  const store = await openStore(`sqlite:${join(directory, 'tollway.db')}`)
  const charges = await store.charges()
  await store.close()
  expect(charges).toMatchObject([{ state: 'uncertain', reason: 'instance_dead', amount: 1000n }])
  const audit = await verifyAudit(join(directory, 'audit.jsonl'))
  expect(audit).toMatchObject({ ok: true, openIntents: [] })
})
