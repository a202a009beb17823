/** The official SDK retrying by itself against the real chain: the gateway dies in between, or the client gives up waiting. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { openStore } from '../../src/io/ledger/open-store.ts'
import { MAIN } from '../kit/program.ts'

let world: World
let directory: string
let baseURL: string

beforeAll(async () => {
  world = await startWorld()
  directory = await mkdtemp(join(tmpdir(), 'tollway-sdk-'))
  // A fixed port: the client finds the restarted gateway where the first one was.
  const port = await freePort()
  baseURL = `http://127.0.0.1:${port}/v1`
  const config = `
listen: 127.0.0.1:${port}
payers: { base: { kind: direct, key: "\${env:SDK_WALLET}", networks: ["${world.chain.network}"] } }
model_list: [{ model_name: "paid/*", model: "*", api_base: "${world.seller.apiBase}", payer: base }]
`
  await writeFile(join(directory, 'tollway.yaml'), config)
})

beforeEach(() => {
  world.seller.log.length = 0
  world.facilitator.faults.settle.length = 0
})

afterAll(async () => {
  await world?.close()
  await rm(directory, { recursive: true, force: true })
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function serve(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [MAIN, 'serve', '--config', join(directory, 'tollway.yaml')], {
    env: { ...process.env, SDK_WALLET: world.chain.accounts.buyer.privateKey },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.includes(' ready ')) return child
  }
  throw new Error('the gateway ended before it was ready')
}

const paymentsAtSeller = (): number =>
  world.seller.log.filter(({ hadPayment }) => hadPayment !== 'none').length
const transfers = async (): Promise<number> => (await world.chain.transfers()).length
const question = (content: string) => ({
  model: 'paid/sandbox-small',
  messages: [{ role: 'user' as const, content }],
})

test('an SDK that gives up waiting and retries joins its first attempt: one payment, the whole answer', async () => {
  const gateway = await serve()
  const before = await transfers()
  world.facilitator.faults.settle.push({ delayMs: 1500 })
  let attempts = 0
  const client = new OpenAI({
    baseURL,
    apiKey: 'none',
    maxRetries: 3,
    // As the SDK's own timer does it, and surely behind the payment and before the answer.
    fetch: async (url, init) => {
      attempts += 1
      if (attempts > 1) return await fetch(url, init)
      const givingUp = new AbortController()
      const asked = fetch(url, { ...init, signal: givingUp.signal })
      await expect.poll(paymentsAtSeller).toBe(1)
      givingUp.abort()
      return await asked
    },
  })
  const { data, response } = await client.chat.completions.create(question('Once?')).withResponse()
  expect(data.choices[0]?.message.content).toBeTruthy()
  expect(response.headers.get('x-tollway-replayed')).toBe('yes')
  expect(attempts).toBe(2)
  expect([paymentsAtSeller(), (await transfers()) - before]).toEqual([1, 1])
  gateway.kill('SIGTERM')
  expect((await once(gateway, 'exit'))[0]).toBe(0)
})

test('kill -9 between payment and answer: the retry of the SDK meets the restarted gateway and pays nothing', async () => {
  const gateway = await serve()
  const before = await transfers()
  world.facilitator.faults.settle.push({ delayMs: 1500 })
  const client = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 10 })
  const asked = client.chat.completions.create(question('Twice?')).then(
    () => 'answered',
    (error: unknown) => error,
  )
  await expect.poll(paymentsAtSeller).toBe(1)
  gateway.kill('SIGKILL')
  await once(gateway, 'exit')
  const restarted = await serve()
  expect(await asked).toMatchObject({ status: 400, code: 'payment_uncertain' })

  // What the client asks again by itself is answered the same, and the money moved once.
  await expect.poll(transfers).toBeGreaterThan(before)
  const again = await client.chat.completions.create(question('Twice?')).catch((error: unknown) => error)
  expect(again).toMatchObject({ status: 400, code: 'payment_uncertain' })
  expect([paymentsAtSeller(), (await transfers()) - before]).toEqual([1, 1])

  restarted.kill('SIGTERM')
  expect((await once(restarted, 'exit'))[0]).toBe(0)
  const store = await openStore(`sqlite:${join(directory, 'tollway.db')}`)
  const charges = await store.charges()
  await store.close()
  expect(charges.map(({ state, reason }) => [state, reason])).toEqual([
    ['uncertain', 'instance_dead'],
    ['settled', 'receipt'],
  ])
})
