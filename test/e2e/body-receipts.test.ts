/** Receipts that a seller puts behind its headers, over real sockets: the answer to the client names the transaction where it still can. */
import { gzipSync } from 'node:zlib'
import { afterEach, expect, test } from 'vitest'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { ask, startGateway, type TestGateway } from '../kit/gateway.ts'
import { COMPLETION_JSON, encodeHeader, RECEIPT } from '../kit/seller-answers.ts'
import { startScriptedSeller, type ScriptedSeller, type SellerHandler } from '../kit/scripted-seller.ts'

let seller: ScriptedSeller
let tollway: TestGateway

afterEach(async () => {
  await tollway.close()
  await seller.close()
})

async function start(paid: SellerHandler): Promise<void> {
  process.env['BODY_RECEIPTS_WALLET'] = localAccounts().buyer.privateKey
  seller = await startScriptedSeller({ paid })
  tollway = await startGateway({
    payers: { base: { kind: 'direct', key: '${env:BODY_RECEIPTS_WALLET}', networks: ['base-sepolia'] } },
    model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' }],
  })
}

async function charges(): Promise<unknown> {
  return await tollway.gateway.parts.ledger.store.charges()
}

const PROVEN = [{ state: 'settled', proof: 'receipt', transaction: RECEIPT.transaction }]
const BODY = JSON.stringify({
  ...(JSON.parse(COMPLETION_JSON) as object),
  payment_response: encodeHeader(RECEIPT),
})

test.each([false, true])('finds a receipt in the JSON of an answer (compressed %s)', async (isCompressed) => {
  await start((_request, response) => {
    const coding = isCompressed ? { 'content-encoding': 'gzip' } : {}
    response.writeHead(200, { 'content-type': 'application/json', ...coding })
    response.end(isCompressed ? gzipSync(BODY) : BODY)
  })
  const answer = await ask(tollway.url, { model: 'paid/m' })
  expect(answer.status).toBe(200)
  expect(answer.headers.get('x-tollway-transaction')).toBe(RECEIPT.transaction)
  expect(await charges()).toMatchObject(PROVEN)
})

test('finds a receipt in an event of a stream, and in its trailers', async () => {
  for (const place of ['event', 'trailer']) {
    await start((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', trailer: 'payment-response' })
      response.write('data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n')
      if (place === 'event') response.write(`event: payment\ndata: ${JSON.stringify(RECEIPT)}\n\n`)
      else response.addTrailers({ 'PAYMENT-RESPONSE': encodeHeader(RECEIPT) })
      response.end(place === 'event' ? 'data: [DONE]\n\n' : '')
    })
    const answer = await ask(tollway.url, { model: 'paid/m', stream: true })
    expect(await answer.text()).toContain('hi')
    // The client has its answer at the protocol's end and does not wait for the ledger.
    await expect.poll(charges).toMatchObject(PROVEN)
    if (place === 'trailer') return
    await tollway.close()
    await seller.close()
  }
})
