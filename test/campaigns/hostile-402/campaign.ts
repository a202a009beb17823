/** Runs generated 402 replies against the codec and the gate, and against a whole gateway over sockets. */
import * as fc from 'fast-check'
import { direct } from '../../../providers/direct/direct.ts'
import { localAccounts } from '../../../src/app/sandbox/chain/accounts.ts'
import { BUILT_IN_ASSETS } from '../../../src/core/money/assets.ts'
import { TollwayError } from '../../../src/core/errors.ts'
import { ERROR_TABLE } from '../../../src/core/error-table.ts'
import type { Provider } from '../../../src/core/payer/provider.ts'
import { vetOffers, type Quote } from '../../../src/core/policy/gate.ts'
import { decodeChallenge } from '../../../src/core/x402/x402.ts'
import { decodeBase64Json } from '../../../src/core/x402/wire-json.ts'
import { ask, errorOf, startGateway } from '../../kit/gateway.ts'
import { COMPLETION_JSON, send } from '../../kit/seller-answers.ts'
import { startScriptedSeller } from '../../kit/scripted-seller.ts'
import { faultsOf, LIMITS } from './judge.ts'
import { PAYEE, reply402, USDC, type Reply402 } from './replies.ts'

const ORIGIN = 'https://seller.test'
const WALLET = 'HOSTILE_402_WALLET'

/** How often each thing came of a reply: error codes, `quote`, HTTP statuses. */
export type Counts = ReadonlyMap<string, number>

/** What a run came to. It throws (with seed and the smallest reply) as soon as one reply does harm. */
export interface FuzzReport {
  readonly seed: number
  readonly outcomes: Counts
  /** Payments that were signed and held against the judge. */
  readonly signed: number
}

/** Starts a payer that signs with the local chain's key. */
async function startPayer(): Promise<Provider> {
  process.env[WALLET] = localAccounts().buyer.privateKey
  return await direct({ key: { source: 'env', name: WALLET }, networks: [LIMITS.network] })
}

/**
 * Every reply through decoding and gate, in this process. What passes is held against the judge, and the first `sign`
 * of them are signed and their signed fields held against it too.
 */
export async function fuzzGate(replies: number, sign: number, seed: number): Promise<FuzzReport> {
  const counts = new Counter()
  const payer = await startPayer()
  let signed = 0
  try {
    const property = fc.asyncProperty(reply402, async (reply) => {
      const quote = vetted(reply, payer, counts)
      if (!quote) return
      refuse(faultsOf(readable(quote)))
      if (signed >= sign) return
      signed += 1
      const { header } = await payer.authorize(quote, 'chg_fuzz', new AbortController().signal)
      refuse(faultsOf(signedFields(header.value, quote.offer.raw)))
    })
    await fc.assert(property, { numRuns: replies, seed })
    return { seed, outcomes: counts.counts, signed }
  } finally {
    await payer.close()
  }
}

function vetted(reply: Reply402, payer: Provider, counts: Counter): Quote | undefined {
  try {
    const challenge = decodeChallenge({
      header: (name) => reply.headers[name],
      body: reply.body.subarray(0, 65_536),
      truncated: reply.body.length > 65_536,
    })
    const quote = vetOffers(challenge, ORIGIN, {
      networks: [LIMITS.network],
      assets: BUILT_IN_ASSETS,
      origins: new Set([ORIGIN]),
      maxMicroUsd: LIMITS.mostAtomic,
      maxValiditySeconds: LIMITS.mostSeconds,
      payees: () => [PAYEE.toLowerCase()],
      supports: (offer) => payer.supports(offer),
    })[0]
    counts.add('quote')
    return quote
  } catch (error) {
    // Anything else is a fault of ours, and ends the run.
    if (!(error instanceof TollwayError)) throw error
    if (ERROR_TABLE[error.code].status !== 400) throw error
    counts.add(error.code)
    return undefined
  }
}

/**
 * Replies over sockets to a whole gateway with a real payer. The gateway must answer each, stay alive, and send no payment
 * that the judge would not let pass.
 */
export async function fuzzGateway(replies: number, seed: number): Promise<FuzzReport> {
  const counts = new Counter()
  let reply: Reply402 = { headers: {}, body: Buffer.alloc(0) }
  let signed = 0
  const faults: string[] = []
  const seller = await startScriptedSeller((request, response) => {
    const payment = request.headers['payment-signature'] ?? request.headers['x-payment']
    if (payment === undefined) {
      // What Node's server does not write (line ends, say) no gateway gets to see either.
      for (const [name, value] of Object.entries(reply.headers)) trySetHeader(response, name, value)
      response.writeHead(402).end(reply.body)
      return
    }
    signed += 1
    faults.push(...faultsOf(signedFields(String(payment), undefined)))
    send(response, { status: 200, headers: { 'content-type': 'application/json' }, body: COMPLETION_JSON })
  })
  process.env[WALLET] = localAccounts().buyer.privateKey
  const tollway = await startGateway({
    payers: { base: { kind: 'direct', key: `\${env:${WALLET}}`, networks: ['base-sepolia'] } },
    model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' }],
    policy: { sellers: { [seller.url]: { pay_to: [PAYEE] } } },
  })
  let asked = 0
  try {
    const property = fc.asyncProperty(reply402, async (generated) => {
      reply = generated
      const answer = await ask(tollway.url, { model: 'paid/m', seed: (asked += 1) })
      if (answer.status === 200) {
        await answer.text()
        counts.add('paid')
      } else {
        const { code } = await errorOf(answer)
        if (answer.status !== 400 && answer.status !== 503) throw new Error(`status ${answer.status} ${code}`)
        counts.add(code)
      }
      refuse(faults.splice(0))
    })
    await fc.assert(property, { numRuns: replies, seed })
    const alive = await fetch(`${tollway.url}/health/ready`)
    if (alive.status !== 200) throw new Error(`the gateway is not ready any more: ${alive.status}`)
    return { seed, outcomes: counts.counts, signed }
  } finally {
    await tollway.close()
    await seller.close()
  }
}

function trySetHeader(response: Parameters<typeof send>[0], name: string, value: string): void {
  try {
    response.setHeader(name, value)
  } catch {
    response.removeHeader(name)
  }
}

function readable(quote: Quote): Parameters<typeof faultsOf>[0] {
  const { amount, payTo, asset, validitySeconds, offer } = quote
  return {
    amount,
    payTo,
    asset: asset.address,
    network: asset.network,
    seconds: validitySeconds,
    raw: offer.raw,
  }
}

interface WireAuthorization {
  readonly to: string
  readonly value: string
  readonly validBefore: string
}

interface WirePermit {
  readonly permitted: { readonly token: string; readonly amount: string }
  readonly spender: string
  readonly deadline: string
  readonly witness: { readonly to: string }
}

interface WirePayment {
  readonly network?: string
  readonly payload: {
    readonly signature: string
    readonly authorization?: WireAuthorization
    readonly permit2Authorization?: WirePermit
  }
  readonly accepted?: Readonly<Record<string, unknown>>
}

/**
 * The fields of a payment as they go over the wire.
 * @param raw the offer it was made for; a v2 payment brings it along, and of a v1 payment the amount and payee stand for it
 */
function signedFields(
  header: string,
  raw: Readonly<Record<string, unknown>> | undefined,
): Parameters<typeof faultsOf>[0] {
  const { payload, accepted } = decodeBase64Json(header) as WirePayment
  const { to, value, validBefore, token, spender } = termsOf(payload)
  if (!/^0x[0-9a-f]{130}$/i.test(payload.signature)) throw new Error('the payment is not signed')
  const offered = raw ?? accepted ?? { scheme: 'exact', amount: value, payTo: to, asset: undefined }
  const asset = offered['asset']
  return {
    amount: BigInt(value),
    payTo: to,
    asset: token ?? (typeof asset === 'string' ? asset : USDC),
    network: LIMITS.network,
    // Counted from now, a moment after it was signed: never more than was allowed.
    seconds: Number(validBefore) - Math.floor(Date.now() / 1000),
    spender,
    raw: offered,
  }
}

/** What was signed, of either kind. */
function termsOf({
  authorization,
  permit2Authorization: permit,
}: WirePayment['payload']): WireAuthorization & {
  readonly token?: string
  readonly spender?: string
} {
  if (authorization) return authorization
  if (!permit) throw new Error('the payment carries no authorization')
  const { permitted, spender, deadline, witness } = permit
  return { to: witness.to, value: permitted.amount, validBefore: deadline, token: permitted.token, spender }
}

function refuse(faults: readonly string[]): void {
  if (faults.length > 0) throw new Error(faults.join('; '))
}

class Counter {
  readonly counts = new Map<string, number>()

  add(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
  }
}
