/**
 * An Obol seller that asks for a price and checks no signature, and the pool files that buy there: for tests of how vouchers
 * are used.
 */
import { existsSync, readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Observer } from '../../src/core/telemetry/events.ts'
import { startGateway, type TestGateway } from './gateway.ts'
import { ManualTimers } from './manual-timers.ts'
import { nonceOf, startScriptedSeller } from './scripted-seller.ts'
import { decodeHeader, encodeHeader } from './seller-answers.ts'
import { buyerFiles, upstreamFile, USDC, type Auth, type BuyerFiles } from './obol-pool.ts'

/** Whom the mock asks to be paid. */
export const payTo = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'

/** What came with a paid request. */
interface Paid {
  readonly nonce: string
  readonly headers: IncomingMessage['headers']
  readonly url: string
  readonly body: Record<string, unknown>
  readonly message: Record<string, unknown>
}

/** A mock seller: asks for a price, keeps what it is paid with, and answers as it is told. */
interface MockSeller {
  readonly url: string
  price: string
  payTo: string
  /** `body`: the 402 as Obol's sellers send it; `header`: only PAYMENT-REQUIRED; `v1`: x402 version 1. */
  speaks: 'body' | 'header' | 'v1'
  /** What a paid request gets; the default is 200 with a receipt. */
  onPaid: ((response: ServerResponse, count: number) => void) | undefined
  /** What an unpaid request gets; the default is a 402. */
  onUnpaid: ((response: ServerResponse) => void) | undefined
  readonly paid: Paid[]
  readonly unpaid: IncomingMessage['headers'][]
  close(): Promise<void>
}

async function startSeller(): Promise<MockSeller> {
  const server = await startScriptedSeller((request, response) => {
    if (request.payment === undefined) {
      seller.unpaid.push(request.headers)
      return seller.onUnpaid ? seller.onUnpaid(response) : challenge(seller, response)
    }
    const body = JSON.parse(request.body.toString()) as Record<string, unknown>
    const message = decodeHeader(request.payment) as Paid['message']
    seller.paid.push({ nonce: nonceOf(request), headers: request.headers, url: request.url, body, message })
    if (seller.onPaid) return seller.onPaid(response, seller.paid.length)
    answer(response)
  })
  const seller: MockSeller = {
    url: `${server.url}/services/qwen`,
    price: '1000',
    payTo,
    speaks: 'body',
    onPaid: undefined,
    onUnpaid: undefined,
    paid: [],
    unpaid: [],
    close: () => server.close(),
  }
  return seller
}

/** Asks for the price. @param changes of the offer, in v2 */
export function challenge(seller: MockSeller, response: ServerResponse, changes: object = {}): void {
  const offer = {
    scheme: 'exact',
    asset: USDC,
    payTo: seller.payTo,
    maxTimeoutSeconds: 600,
    extra: { name: 'USDC', version: '2' },
  }
  const message =
    seller.speaks === 'v1'
      ? { x402Version: 1, accepts: [{ ...offer, network: 'base-sepolia', maxAmountRequired: seller.price }] }
      : { x402Version: 2, accepts: [{ ...offer, network: 'eip155:84532', amount: seller.price, ...changes }] }
  const text = JSON.stringify(message)
  const header = seller.speaks === 'header' ? { 'payment-required': encodeHeader(message) } : undefined
  response.writeHead(402, { 'content-type': 'application/json', ...header })
  response.end(seller.speaks === 'header' ? '' : text)
}

/** A paid answer, with a receipt or without. */
export function answer(response: ServerResponse, receipt = true): void {
  const settled = { success: true, transaction: `0x${'ab'.repeat(32)}`, network: 'eip155:84532', payer: '0x' }
  response.writeHead(200, {
    'content-type': 'application/json',
    ...(receipt ? { 'x-payment-response': encodeHeader(settled) } : {}),
  })
  response.end(
    JSON.stringify({
      id: 'c',
      object: 'chat.completion',
      choices: [{ message: { content: 'yes' } }],
      usage: {},
    }),
  )
}

/** A seller, the files to buy there with, and what opens a gateway on them. */
interface Buyer {
  readonly seller: MockSeller
  readonly files: BuyerFiles
  readonly timers: ManualTimers
  open: (config?: object, observer?: Observer) => Promise<TestGateway>
}

/** @param cleanup what ends it is put here */
export async function startBuyer(auths: readonly Auth[], cleanup: (() => unknown)[]): Promise<Buyer> {
  const seller = await startSeller()
  const files = buyerFiles()
  cleanup.push(
    () => files.remove(),
    () => seller.close(),
  )
  files.write('remote-qwen', upstreamFile({ url: seller.url, payTo, model: 'qwen3.5:9b' }), auths)
  const timers = new ManualTimers()
  return {
    seller,
    files,
    timers,
    async open(config = {}, observer = () => undefined) {
      const gateway = await startGateway(
        { payers: { obol: files.payer }, ...config },
        { timers, observers: [observer] },
      )
      cleanup.push(() => gateway.close())
      return gateway
    },
  }
}

/** `/status` as it stands. */
export const status = async ({ url }: TestGateway): Promise<Record<string, Record<string, unknown>>> =>
  (await (await fetch(`${url}/status`)).json()) as Record<string, Record<string, unknown>>

/** What the state file holds. */
export const consumed = (files: BuyerFiles): unknown =>
  existsSync(files.state) ? (JSON.parse(readFileSync(files.state, 'utf8')) as unknown) : undefined
