import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import OpenAI from 'openai'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { GatewayOverrides } from '../../src/app/gateway/gateway.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { json, receiptV2 } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { type ScriptedSeller } from '../kit/scripted-seller.ts'

let seller: ScriptedSeller
let upstream: Server
let tollway: TestGateway
/** Resolves when the seller has a payment in hand. */
let paid: PromiseWithResolvers<void>
/** The seller answers a payment when this resolves. */
let answer: PromiseWithResolvers<void>

beforeEach(async () => {
  paid = Promise.withResolvers()
  answer = Promise.withResolvers()
  seller = await startScriptedSeller({
    paid: async () => {
      paid.resolve()
      await answer.promise
      return json({ ok: 1 }, receiptV2({ success: true, transaction: `0x${'12'.repeat(32)}` }))
    },
  })
  upstream = createServer()
  upstream.on('upgrade', (_request, socket) =>
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n'),
  )
  await once(upstream.listen(0, '127.0.0.1'), 'listening')
})

afterEach(async () => {
  answer.resolve()
  await tollway.close()
  await seller.close()
  upstream.closeAllConnections()
  upstream.close()
})

async function start(shutdownSeconds: number, overrides: GatewayOverrides = {}): Promise<TestGateway> {
  process.env['SHUTDOWN_WALLET'] = localAccounts().buyer.privateKey
  tollway = await startGateway(
    {
      payers: { base: { kind: 'direct', key: '${env:SHUTDOWN_WALLET}', networks: ['base-sepolia'] } },
      model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' }],
      upstream: { api_base: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/v1` },
      timeouts: { shutdown_seconds: shutdownSeconds },
    },
    overrides,
  )
  return tollway
}

/** The state of the one charge, read before the store is closed with the gateway. */
function bookedAs(): Promise<string> {
  return new Promise((resolve) => {
    const { ledger } = tollway.gateway.parts
    const close = ledger.close.bind(ledger)
    ledger.close = async () => {
      const [charge] = await ledger.store.charges()
      resolve(`${charge?.state} ${charge?.reason}`)
      await close()
    }
  })
}

test('readiness answers 503 before the port closes, and requests are served until then', async () => {
  const timers = new ManualTimers()
  await start(30, { timers })
  const status = async (path: string): Promise<number> => (await fetch(`${tollway.url}${path}`)).status
  expect(await status('/health/ready')).toBe(200)
  let isOver = false
  const draining = tollway.gateway.drain().then(() => void (isOver = true))
  expect(await status('/health/ready')).toBe(503)
  expect(await status('/health/live')).toBe(200)
  expect(await status('/v1/models')).toBe(200)
  expect(isOver).toBe(false)
  await timers.fire(1000)
  await draining
  expect(isOver).toBe(true)
})

test('a paid call that runs while the gateway stops is answered whole, and new connections are refused', async () => {
  await start(30)
  const booked = bookedAs()
  const running = ask(tollway.url, { model: 'paid/m' })
  await paid.promise
  const closing = tollway.gateway.close()
  await expect(fetch(`${tollway.url}/health/live`)).rejects.toThrow('fetch failed')
  answer.resolve()
  const reply = await running
  expect([reply.status, await reply.text()]).toEqual([200, '{"ok":1}'])
  await closing
  expect(await booked).toBe('settled receipt')
})

test('at the deadline a paid call is booked as uncertain and answered 400, so that the OpenAI SDK does not send it again', async () => {
  await start(0.2)
  const booked = bookedAs()
  const client = new OpenAI({ baseURL: `${tollway.url}/v1`, apiKey: 'none', maxRetries: 2 })
  const running = client.chat.completions
    .create({ model: 'paid/m', messages: [] })
    .catch((error: unknown) => error)
  await paid.promise
  await tollway.gateway.close()
  expect(await running).toMatchObject({ status: 400, code: 'payment_uncertain' })
  expect(await booked).toBe('uncertain reset')
  expect(seller.requests.filter(({ headers }) => headers['payment-signature'])).toHaveLength(1)
})

test('a paid call whose client has left is finished and booked before the gateway stops', async () => {
  await start(30)
  const booked = bookedAs()
  const leaving = new AbortController()
  const left = fetch(`${tollway.url}/v1/chat/completions`, {
    method: 'POST',
    signal: leaving.signal,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'paid/m', messages: [] }),
  }).catch(() => 'left')
  await paid.promise
  leaving.abort()
  expect(await left).toBe('left')
  const closing = tollway.gateway.close()
  answer.resolve()
  await closing
  expect(await booked).toBe('settled receipt')
})

test('an open websocket does not keep the gateway from stopping', async () => {
  await start(0.2)
  const { port } = new URL(tollway.url)
  const socket = connect(Number(port), '127.0.0.1')
  socket.write(
    `GET /v1/realtime?model=x HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n`,
  )
  const [head] = (await once(socket, 'data')) as [Buffer]
  expect(head.toString()).toMatch(/^HTTP\/1.1 101 /)
  const closed = once(socket, 'close')
  await tollway.gateway.close()
  await closed
})

test('connections that sent nothing, or half a request, are not waited for, and one whose answer runs is', async () => {
  await start(30)
  const booked = bookedAs()
  const running = ask(tollway.url, { model: 'paid/m' })
  await paid.promise
  const closed = await Promise.all(
    ['', 'GET /health/live HTTP/1.1\r\nhost: 127'].map(async (bytes) => {
      const socket = connect(Number(new URL(tollway.url).port), '127.0.0.1')
      await once(socket, 'connect')
      socket.on('error', () => {})
      socket.write(bytes)
      return { end: new Promise((resolve) => socket.once('close', resolve)) }
    }),
  )
  const closing = tollway.gateway.close()
  await Promise.all(closed.map(({ end }) => end))
  answer.resolve()
  expect((await running).status).toBe(200)
  await closing
  expect(await booked).toBe('settled receipt')
})

test('a port that is in use is reported with the fix', async () => {
  await start(1)
  const { port } = new URL(tollway.url)
  const second = startGateway({ listen: `127.0.0.1:${port}` })
  await expect(second).rejects.toThrow(`A Tollway gateway already runs at http://127.0.0.1:${port} (`)
})

test('a policy refusal after shutdown began is still answered as a refusal', async () => {
  await start(30)
  const running = ask(tollway.url, { model: 'paid/m', stream: true })
  await paid.promise
  answer.reject(new Error('the seller hangs up'))
  const closing = tollway.gateway.close()
  expect(await errorOf(await running)).toMatchObject({ code: 'payment_uncertain' })
  await closing
})
