/** What a seller must not get out of us: the payment it was sent, handed to the client; a look at the local network. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import type { LookupAll } from '../../src/io/transport/public-connector.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { challengeV1, challengeV2, decodeHeader, receiptV2, send } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { type ScriptedSeller } from '../kit/scripted-seller.ts'
import { offerV1, offerV2 } from '../kit/quotes.ts'

let seller: ScriptedSeller
let answer: (payment: string) => Parameters<typeof send>[1]
let challenge: Parameters<typeof send>[1]

beforeAll(async () => {
  seller = await startScriptedSeller((request, response) => {
    const payment = request.headers['payment-signature'] ?? request.headers['x-payment']
    send(response, payment === undefined ? challenge : answer(String(payment)))
  })
})

beforeEach(() => {
  challenge = challengeV2([offerV2])
  answer = () => ({ status: 200, headers: {}, body: '{"choices":[{"message":{"content":"ok"}}]}' })
  seller.requests.length = 0
})

afterAll(async () => await seller.close())

async function start(
  policy: object = {},
  lookup?: LookupAll,
  apiBase = seller.apiBase,
): Promise<TestGateway> {
  // The signer takes the variable away when it starts.
  process.env['POLICY_WALLET'] = localAccounts().buyer.privateKey
  const config = {
    payers: { base: { kind: 'direct', key: '${env:POLICY_WALLET}', networks: ['base-sepolia'] } },
    model_list: [
      { model_name: 'paid/*', model: '*', api_base: apiBase, payer: 'base' },
      { model_name: 'free', api_base: seller.apiBase },
    ],
    policy,
  }
  return await startGateway(config, { lookup })
}

/** The signature inside a payment header. */
function signatureOf(payment: string): string {
  const { payload } = decodeHeader(payment) as { payload: { signature: string } }
  return payload.signature
}

describe('rule 8: a payment that the seller sends back does not reach the client', () => {
  let tollway: TestGateway
  beforeAll(async () => {
    tollway = await start()
  })
  afterAll(async () => await tollway.close())

  const echoes: [string, (payment: string, signature: string) => Parameters<typeof send>[1]][] = [
    [
      'in a JSON answer',
      (payment, signature) => ({
        status: 200,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ payment, signature, rest: 'whole' }),
      }),
    ],
    [
      'in a stream',
      (payment, signature) => ({
        status: 200,
        headers: { 'content-type': 'text/event-stream' },
        body: `data: ${JSON.stringify({ payment, signature, rest: 'whole' })}\n\ndata: [DONE]\n\n`,
      }),
    ],
    [
      'in a file',
      (payment, signature) => ({
        status: 200,
        headers: { 'content-type': 'application/octet-stream' },
        body: `${payment} ${signature} whole`,
      }),
    ],
    [
      'in headers',
      (payment, signature) => ({
        status: 200,
        headers: { 'x-echo': payment, 'x-signature': `got ${signature}`, 'x-rest': 'whole' },
        body: 'whole',
      }),
    ],
    [
      'in an error',
      (payment, signature) => ({
        status: 422,
        headers: { 'x-echo': payment },
        body: JSON.stringify({ error: { message: `whole ${signature} ${payment}` } }),
      }),
    ],
    [
      'in a receipt',
      (_payment, signature) => ({
        status: 402,
        headers: receiptV2({ success: false, errorReason: `whole ${signature}` }),
        body: '{}',
      }),
    ],
  ]

  test.each(echoes.flatMap(([what, echo]) => [['v2', what, echo] as const, ['v1', what, echo] as const]))(
    '%s %s',
    async (version, what, echo) => {
      if (version === 'v1') challenge = challengeV1([offerV1])
      let payment = ''
      answer = (sent) => {
        payment = sent
        return echo(sent, signatureOf(sent))
      }
      const response = await ask(tollway.url, { model: 'paid/m', stream: true, seed: `${version} ${what}` })
      const seen = `${await response.text()} ${JSON.stringify([...response.headers])}`
      const signature = signatureOf(payment)
      expect(signature).toMatch(/^0x[0-9a-f]{130}$/)
      for (const secret of [payment, signature, signature.slice(2)]) expect(seen).not.toContain(secret)
      if (response.ok) expect(seen).toContain('whole')
      const record = JSON.stringify(await tollway.audit())
      expect([record.includes(payment), record.includes(signature.slice(2))]).toEqual([false, false])
      expect((await tollway.audit()).at(-1)).toMatchObject({ type: 'request' })
    },
  )
})

describe('block_private_networks', () => {
  test('off: a seller on this machine is paid', async () => {
    const tollway = await start()
    expect((await ask(tollway.url, { model: 'paid/m' })).status).toBe(200)
    await tollway.close()
  })

  test('on: a literal private address is refused, and no request reaches it; unpaid routes go on', async () => {
    const tollway = await start({ block_private_networks: true })
    const response = await ask(tollway.url, { model: 'paid/m' })
    expect([response.status, response.headers.get('x-tollway-spent')]).toEqual([400, 'no'])
    expect(await errorOf(response)).toMatchObject({
      code: 'host_not_allowed',
      message: expect.stringContaining('not on the public internet'),
    })
    expect(seller.requests).toEqual([])
    challenge = { status: 200, headers: {}, body: 'free' }
    expect(await (await ask(tollway.url, { model: 'free' })).text()).toBe('free')
    await tollway.close()
  })

  test('on: a name that resolves to a private address is refused; its address is not told to the client', async () => {
    const lookup: LookupAll = (_host, done) => done(null, [{ address: '10.11.12.13', family: 4 }])
    const tollway = await start({ block_private_networks: true }, lookup, 'https://seller.test/v1')
    const response = await ask(tollway.url, { model: 'paid/m' })
    const error = await errorOf(response)
    expect([response.status, error.code]).toEqual([400, 'host_not_allowed'])
    expect(error.message).not.toContain('10.11.12.13')
    await tollway.close()
  })
})
