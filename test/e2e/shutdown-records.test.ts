/** A client that the deadline of a shutdown cuts off did not leave: records and charges say what closed its connection. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'

const { buyer } = localAccounts()
const closers: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

/** A gateway whose shutdown waits for a moment only. */
async function start(seller: ScriptedSeller, payer: object): Promise<TestGateway> {
  process.env['SHUTDOWN_RECORDS_WALLET'] = buyer.privateKey
  const tollway = await startGateway({
    payers: { base: { kind: 'direct', networks: ['base-sepolia'], ...payer } },
    model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' }],
    timeouts: { shutdown_seconds: 0.2 },
  })
  closers.push(
    async () => await tollway.close(),
    async () => await seller.close(),
  )
  return tollway
}

/** Sends a request for a paid stream, or its start; "100 Continue" tells that the gateway has it. */
function send({ url }: TestGateway, body: string, length = body.length): Socket {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => {})
  closers.push(() => socket.destroy())
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\nexpect: 100-continue\r\n\r\n${body}`,
  )
  return socket
}

/** The record of the one request, after the shutdown. */
async function recordAfterClose(tollway: TestGateway): Promise<unknown> {
  await tollway.gateway.close()
  return (await tollway.audit()).find(({ type }) => type === 'request')
}

const BODY = '{"model":"paid/m","stream":true,"messages":[]}'
const KEY = { key: '${env:SHUTDOWN_RECORDS_WALLET}' }

test('an upload that does not arrive is closed by the shutdown, without an answer', async () => {
  const seller = await startScriptedSeller()
  const tollway = await start(seller, KEY)
  await once(send(tollway, BODY, 1000), 'data')
  expect(await recordAfterClose(tollway)).toMatchObject({ status: 444, outcome: 'failed', spent: 'no' })
})

test('what was held for a payment that a signer never signed is released by the shutdown', async () => {
  const signing = Promise.withResolvers<void>()
  const signer: Server = createServer((request, response) => {
    if (request.method === 'GET') response.end(JSON.stringify({ keys: [buyer.address] }))
    else signing.resolve()
  })
  await once(signer.listen(0, '127.0.0.1'), 'listening')
  closers.push(() => (signer.closeAllConnections(), signer.close()))
  const url = `http://127.0.0.1:${(signer.address() as AddressInfo).port}`
  const seller = await startScriptedSeller()
  const tollway = await start(seller, { signer: { url, address: buyer.address } })
  send(tollway, BODY)
  await signing.promise
  expect(await recordAfterClose(tollway)).toMatchObject({
    status: 444,
    outcome: 'failed',
    spent: 'no',
    details: { closed_by: 'shutdown' },
  })
  expect(await tollway.audit()).toContainEqual(
    expect.objectContaining({ type: 'charge.released', reason: 'shutdown' }),
  )
})
