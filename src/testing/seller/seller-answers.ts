/** What sellers answer, as x402 puts it on the wire: 402s, receipts, JSON and event streams. */
import type { ServerResponse } from 'node:http'

/** An HTTP answer. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** A tenth of a cent of USDC on Base Sepolia, as x402 v2 offers it. */
export const OFFER = {
  scheme: 'exact',
  network: 'eip155:84532',
  amount: '1000',
  asset: '0x036CbD53842c5426634e7929541eC2318f3dCF7e',
  payTo: '0x90F79bf6EB2c4f870365E785982E1f101E93b906',
  maxTimeoutSeconds: 60,
  extra: { name: 'USDC', version: '2' },
}

/** A receipt for a transaction that does not exist: no chain is behind a scripted seller. */
export const RECEIPT = { success: true, transaction: `0x${'ab'.repeat(32)}`, network: OFFER.network }

const JSON_TYPE = { 'content-type': 'application/json' }

/** A JSON answer. */
export function json(body: unknown, headers: Readonly<Record<string, string>> = {}, status = 200): Answer {
  return { status, headers: { ...JSON_TYPE, ...headers }, body: JSON.stringify(body) }
}

/** A whole event stream: one `data:` event for each text. */
export function events(data: readonly string[], headers: Readonly<Record<string, string>> = {}): Answer {
  const body = data.map((text) => `data: ${text}\n\n`).join('')
  return { status: 200, headers: { 'content-type': 'text/event-stream', ...headers }, body }
}

const COMPLETION = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 0,
  model: 'scripted',
  choices: [{ index: 0, message: { role: 'assistant', content: 'yes' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
}

/** The JSON of a short chat completion. */
export const COMPLETION_JSON = JSON.stringify(COMPLETION)

/** A short chat completion with a v2 receipt; `change` replaces members of the completion. */
export function completion(change: object = {}, receipt: object = RECEIPT): Answer {
  return json({ ...COMPLETION, ...change }, receiptV2(receipt))
}

/** A v2 402 that asks for this much of {@link OFFER}'s asset, in its smallest unit. */
export function asking(amount: bigint): Answer {
  return challengeV2([{ ...OFFER, amount: amount.toString() }])
}

/** Sends an answer. */
export function send(response: ServerResponse, { status, headers, body }: Answer): void {
  response.writeHead(status, headers).end(body)
}

/**
 * A v2 402: the offer in PAYMENT-REQUIRED (base64 of JSON), `{}` as the body.
 *
 * @param accepts - The entries, as wrong as a test likes.
 * @param extras - Further or replacing top-level fields, e.g. `{ error }`, `{ resource }`, `{ x402Version: 3 }`.
 */
export function challengeV2(accepts: readonly unknown[], extras: object = {}): Answer {
  const offer = {
    x402Version: 2,
    error: 'Payment required',
    resource: { url: 'http://127.0.0.1/', description: '', mimeType: 'application/json' },
    accepts,
    ...extras,
  }
  return {
    status: 402,
    headers: { 'content-type': 'application/json', 'payment-required': encodeHeader(offer) },
    body: '{}',
  }
}

/** A v1 402: the offer is the JSON body. */
export function challengeV1(accepts: readonly unknown[], extras: object = {}): Answer {
  return {
    status: 402,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ x402Version: 1, error: 'X-PAYMENT header is required', accepts, ...extras }),
  }
}

/** The header of a v2 receipt, to be spread into an answer's headers. */
export function receiptV2(receipt: object): { 'payment-response': string } {
  return { 'payment-response': encodeHeader(receipt) }
}

/** The header of a v1 receipt, to be spread into an answer's headers. */
export function receiptV1(receipt: object): { 'x-payment-response': string } {
  return { 'x-payment-response': encodeHeader(receipt) }
}

/** Standard base64 of JSON, as x402 puts objects into headers. */
export function encodeHeader(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64')
}

/**
 * The object in an x402 header.
 *
 * @throws {Error} When the header is missing or does not hold JSON.
 */
export function decodeHeader(value: string | string[] | null | undefined): unknown {
  if (typeof value !== 'string') throw new Error('the header is missing')
  return JSON.parse(Buffer.from(value, 'base64').toString('utf8'))
}
