/** What sellers do on the wire, one case each: as the specification says, as many do it, and as nobody should be paid for. */
import { brotliCompressSync, gzipSync } from 'node:zlib'
import type { ServerResponse } from 'node:http'
import {
  challengeV1,
  challengeV2,
  completion,
  encodeHeader,
  json,
  OFFER,
  RECEIPT,
  type Answer,
} from '../../kit/seller-answers.ts'
import type { SellerHandler, SellerScript } from '../../kit/scripted-seller.ts'

/** One case. */
export interface InteropCase {
  readonly name: string
  readonly seller: SellerScript | SellerHandler
  /** Why it must not be paid, where it must not. */
  readonly refused?: string
}

const V1 = {
  scheme: 'exact',
  network: 'base-sepolia',
  maxAmountRequired: '1000',
  resource: 'http://127.0.0.1/',
  description: 'chat',
  mimeType: 'application/json',
  payTo: OFFER.payTo,
  maxTimeoutSeconds: 60,
  asset: OFFER.asset,
  extra: { name: 'USDC', version: '2' },
}
const MESSAGE = {
  x402Version: 2,
  error: 'Payment required',
  resource: { url: 'http://127.0.0.1/', description: '', mimeType: 'application/json' },
  accepts: [OFFER],
}
const SOLANA = {
  ...OFFER,
  network: 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp',
  asset: 'EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v',
}

const header = (name: string, value: string): Answer => ({
  status: 402,
  headers: { [name]: value },
  body: '{}',
})
const offering = (change: object): SellerScript => ({ unpaid: challengeV2([{ ...OFFER, ...change }]) })
const bytes =
  (headers: Readonly<Record<string, string>>, body: Buffer): SellerHandler =>
  (_request, response: ServerResponse) =>
    void response.writeHead(402, { 'content-type': 'application/json', ...headers }).end(body)
const v1Body = Buffer.from(JSON.stringify({ x402Version: 1, error: 'pay', accepts: [V1] }))

/** Every case, in the order of the table. */
export function interopCases(buyer: string): readonly InteropCase[] {
  let cuts = 0
  let asked = 0
  return [
    { name: 'v2, offer in the header', seller: {} },
    {
      name: 'v1, offer in the body',
      seller: {
        unpaid: challengeV1([V1]),
        paid: json(
          { choices: [{ message: { role: 'assistant', content: 'yes' } }] },
          { 'x-payment-response': encodeHeader(RECEIPT) },
        ),
      },
    },
    {
      name: 'v2, mirrored in the body',
      seller: { unpaid: { ...challengeV2([OFFER]), body: JSON.stringify(MESSAGE) } },
    },
    {
      name: 'v2 in the header, v1 in the body',
      seller: { unpaid: { ...challengeV2([OFFER]), body: v1Body.toString() } },
    },
    {
      name: 'v2, members that nobody knows',
      seller: offering({ priority: 1, extra: { ...OFFER.extra, tier: 'x' } }),
    },
    {
      name: 'a network that nobody knows first',
      seller: { unpaid: challengeV2([{ ...OFFER, network: 'eip155:999999' }, OFFER]) },
    },
    { name: 'Solana first, Base Sepolia second', seller: { unpaid: challengeV2([SOLANA, OFFER]) } },
    {
      name: 'an unknown scheme first',
      seller: { unpaid: challengeV2([{ ...OFFER, scheme: 'stream' }, OFFER]) },
    },
    { name: 'valid for a week', seller: offering({ maxTimeoutSeconds: 604_800 }) },
    {
      name: 'an unknown extension, not required',
      seller: { unpaid: challengeV2([OFFER], { extensions: { weather: { info: {} } } }) },
    },
    {
      name: 'base64url header without padding',
      seller: {
        unpaid: header('payment-required', Buffer.from(JSON.stringify(MESSAGE)).toString('base64url')),
      },
    },
    { name: 'plain JSON header', seller: { unpaid: header('payment-required', JSON.stringify(MESSAGE)) } },
    {
      name: 'base64 header in quotes',
      seller: { unpaid: header('payment-required', `"${encodeHeader(MESSAGE)}"`) },
    },
    {
      name: 'X-PAYMENT-REQUIRED alone',
      seller: { unpaid: header('x-payment-required', encodeHeader(MESSAGE)) },
    },
    { name: 'v2 in the body alone', seller: { unpaid: json(MESSAGE, {}, 402) } },
    {
      name: 'junk header, v1 in the body',
      seller: { unpaid: { ...header('payment-required', '%%%'), body: v1Body.toString() } },
    },
    {
      name: "v1 inside FastAPI's detail",
      seller: { unpaid: json({ detail: { x402Version: 1, accepts: [V1] } }, {}, 402) },
    },
    { name: 'v1 body, gzip', seller: { unpaid: bytes({ 'content-encoding': 'gzip' }, gzipSync(v1Body)) } },
    {
      name: 'v1 body, br',
      seller: { unpaid: bytes({ 'content-encoding': 'br' }, brotliCompressSync(v1Body)) },
    },
    {
      name: 'v1 body with a byte order mark',
      seller: { unpaid: bytes({}, Buffer.concat([Buffer.from('\u{feff}'), v1Body])) },
    },
    {
      name: 'v2 body in UTF-16',
      seller: { unpaid: bytes({}, Buffer.from(`\ufeff${JSON.stringify(MESSAGE)}`, 'utf16le')) },
    },
    {
      name: 'header in percent-encoded JSON',
      seller: { unpaid: header('payment-required', encodeURIComponent(JSON.stringify(MESSAGE))) },
    },
    {
      name: 'version as a text',
      seller: { unpaid: header('payment-required', encodeHeader({ ...MESSAGE, x402Version: '2' })) },
    },
    {
      name: "v2 inside a gateway's error",
      seller: { unpaid: json({ error: { message: 'pay', paymentRequired: true, ...MESSAGE } }, {}, 402) },
    },
    {
      name: 'an offer that is no object first',
      seller: { unpaid: challengeV2(['junk', OFFER]) },
    },
    {
      name: 'the bazaar extension with its schema',
      seller: {
        unpaid: challengeV2([OFFER], {
          extensions: { bazaar: { info: { input: { type: 'http', method: 'POST' } }, schema: {} } },
        }),
      },
    },
    { name: 'valid for as long as null', seller: offering({ maxTimeoutSeconds: null }) },
    {
      name: 'the token in capitals',
      seller: offering({ asset: OFFER.asset.toUpperCase().replace('0X', '0x') }),
    },
    {
      name: 'junk receipt beside a good one',
      seller: {
        paid: {
          ...completion(),
          headers: {
            'content-type': 'application/json',
            'payment-response': '%%',
            'x-payment-response': encodeHeader(RECEIPT),
          },
        },
      },
    },
    {
      name: 'no receipt',
      seller: { paid: { ...completion(), headers: { 'content-type': 'application/json' } } },
    },
    {
      name: 'cuts off every other question',
      seller: {
        unpaid: (_request, response) => {
          cuts += 1
          return cuts % 2 === 1 ? void response.destroy() : challengeV2([OFFER])
        },
      },
    },
    { name: 'free of charge', seller: { unpaid: completion() } },
    {
      name: 'answers 402 for an account',
      seller: { unpaid: json({ error: 'Insufficient balance' }, {}, 402) },
      refused: 'offers no x402',
    },
    {
      name: 'redirects (307) to another path',
      seller: ({ url, payment }) =>
        url === '/v1/chat/completions'
          ? { status: 307, headers: { location: '/moved' }, body: '' }
          : payment === undefined
            ? challengeV2([OFFER])
            : completion(),
      refused: 'payments follow no redirect',
    },
    {
      name: 'pays to the zero address',
      seller: offering({ payTo: `0x${'0'.repeat(40)}` }),
      refused: 'nobody would be paid',
    },
    {
      name: "pays to the token's contract",
      seller: offering({ payTo: OFFER.asset }),
      refused: 'nobody would be paid',
    },
    {
      name: 'pays to the paying wallet',
      seller: offering({ payTo: buyer }),
      refused: 'nobody would be paid',
    },
    {
      name: 'another payee each time',
      seller: {
        unpaid: () => {
          asked += 1
          return challengeV2([{ ...OFFER, payTo: `0x${(asked + 0xa0).toString(16).padStart(40, '3')}` }])
        },
      },
      refused: 'the payee is pinned by the first payment',
    },
    { name: 'asks $5', seller: offering({ amount: '5000000' }), refused: 'above the ceiling per request' },
    { name: 'asks $0.50', seller: offering({ amount: '500000' }), refused: 'above the ceiling per request' },
    {
      name: 'amount in hexadecimal',
      seller: offering({ amount: '0x3e8' }),
      refused: 'amounts are decimal integers',
    },
    { name: 'amount with an exponent', seller: offering({ amount: '1e3' }), refused: 'amounts are digits' },
    { name: 'amount with a sign', seller: offering({ amount: '+1000' }), refused: 'amounts are digits' },
    {
      name: 'pays to a burn address',
      seller: offering({ payTo: `0x${'0'.repeat(36)}dEaD` }),
      refused: 'nobody has its key',
    },
    { name: 'amount as a number', seller: offering({ amount: 1000 }), refused: 'amounts are texts' },
    {
      name: 'two amounts that differ',
      seller: offering({ maxAmountRequired: '1' }),
      refused: 'which one is meant is not known',
    },
    { name: 'amount of zero', seller: offering({ amount: '0' }), refused: 'a signature for nothing' },
    {
      name: 'another contract than the token',
      seller: offering({ extra: { ...OFFER.extra, verifyingContract: `0x${'77'.repeat(20)}` } }),
      refused: 'what the contract does is not known',
    },
    {
      name: 'a token that is not in the table',
      seller: offering({ asset: `0x${'55'.repeat(20)}` }),
      refused: 'its value is not known',
    },
  ]
}
