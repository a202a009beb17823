/** An answer that its client did not get whole is not delivered: the same request gets that outcome, and is not paid again. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cash } from '../../providers/cash.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { startScriptedSeller, type ScriptedSeller, type SellerHandler } from '../kit/scripted-seller.ts'
import { completion, receiptV2, RECEIPT } from '../kit/seller-answers.ts'

let seller: ScriptedSeller
let tollway: TestGateway

beforeEach(async () => {
  process.env['UNFINISHED_WALLET'] = `0x${'11'.repeat(32)}`
  seller = await startScriptedSeller()
  tollway = await start()
})

afterEach(async () => {
  await tollway.close()
  await seller.close()
})

async function start(config: object = {}): Promise<TestGateway> {
  return await startGateway(
    {
      payers: { base: { kind: 'direct', key: '${env:UNFINISHED_WALLET}', networks: ['base-sepolia'] } },
      model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' }],
      timeouts: { first_byte_seconds: 60, idle_seconds: 60, shutdown_seconds: 1 },
      ...config,
    },
    { payers: new Map([['base', cash()]]) },
  )
}

const headers = (type: string): Record<string, string> => ({ 'content-type': type, ...receiptV2(RECEIPT) })
const TEXT = 'x'.repeat(9_000_000)
const EVENT = 'data: {"id":"c","choices":[{"index":0,"delta":{"content":"half"},"finish_reason":null}]}\n\n'

/** Sends the beginning of an answer, and cuts the connection. */
const breaking =
  (type: string, beginning: string): SellerHandler =>
  (_request, response) => {
    response.writeHead(200, headers(type))
    response.write(beginning, () => setImmediate(() => response.destroy()))
  }

const BROKEN: readonly [string, SellerHandler][] = [
  ['is reset after 9 MB', breaking('application/json', `{"choices":[{"message":{"content":"${TEXT}`)],
  [
    'ends after 9 MB that are not whole',
    (_request, response) => void response.writeHead(200, headers('application/json')).end(`{"text":"${TEXT}`),
  ],
  [
    'is 9 MB of JSON and more',
    (_request, response) =>
      void response.writeHead(200, headers('application/json')).end(`{"text":"${TEXT}"}{}`),
  ],
  ['is cut small JSON', () => ({ status: 200, headers: headers('application/json'), body: '{"choices":[' })],
  ['is sound that is reset', breaking('audio/mpeg', 'sound')],
]

test.each(BROKEN)('rule 5: the same request is not paid again when its answer %s', async (_what, paid) => {
  seller.follow({ paid })
  const first = await ask(tollway.url, { model: 'paid/m' })
    .then(async (response) => {
      const { status } = response
      await response.text()
      return status
    })
    .catch(() => 'broken')
  expect([400, 'broken']).toContain(first)
  const again = await ask(tollway.url, { model: 'paid/m' })
  expect([again.status, (await errorOf(again)).code]).toEqual([400, 'paid_not_delivered'])
  expect(again.headers.get('x-tollway-spent')).toBe('yes')
  expect(seller.payments).toHaveLength(1)
})

test('rule 5: a stream that was cut short comes again as it was, unpaid', async () => {
  seller.follow({ paid: breaking('text/event-stream', EVENT) })
  const first = await (await ask(tollway.url, { model: 'paid/m', stream: true })).text()
  expect(first).toContain('"length"')
  const again = await ask(tollway.url, { model: 'paid/m', stream: true })
  expect(again.headers.get('x-tollway-replayed')).toBe('yes')
  expect(await again.text()).toContain('half')
  expect(seller.payments).toHaveLength(1)
})

test('a whole answer is delivered: the same request again is another one', async () => {
  await (await ask(tollway.url, { model: 'paid/m' })).text()
  await (await ask(tollway.url, { model: 'paid/m' })).text()
  expect(seller.payments).toHaveLength(2)
})

test('20 kB of headers that clients need reach none of them, and the answer does', async () => {
  const answer = completion()
  const many = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`x-ratelimit-${n}`, 'x'.repeat(90)]))
  seller.follow({ paid: { ...answer, headers: { ...answer.headers, ...many } } })
  const response = await ask(tollway.url, { model: 'paid/m' })
  expect(response.status).toBe(200)
  const size = [...response.headers].reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0)
  expect(size).toBeLessThan(10_000)
})

test('no browser guesses at the type of JSON: answers, errors and lists', async () => {
  const answers = [
    await ask(tollway.url, { model: 'paid/m' }),
    await ask(tollway.url, { model: 'unknown' }),
    await fetch(`${tollway.url}/v1/models`),
    await fetch(`${tollway.url}/health/ready`),
  ]
  expect(answers.map(({ headers: got }) => got.get('x-content-type-options'))).toEqual(
    Array(4).fill('nosniff'),
  )
})
