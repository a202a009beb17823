/** `tollway probe`: shows what a seller charges. Never pays, and needs neither a key nor a ledger. */
import { methodName } from '../../core/policy/read-offer.ts'
import { findAsset, findNetwork, type Asset } from '../../core/money/assets.ts'
import { systemClock } from '../../core/clock.ts'
import { TollwayError } from '../../core/errors.ts'
import { formatUnits, formatUsd, parseAtomic, toMicroUsd } from '../../core/money/money.ts'
import { systemTimers } from '../../core/timers.ts'
import type { Challenge, Offer } from '../../core/x402/x402.ts'
import {
  createUpstream,
  type OutgoingRequest,
  type Timeouts,
  type Upstream,
} from '../../io/transport/upstream.ts'
import { commandRequest, OWN_HEADERS, PRICE_MS, priceQuestion, askSeller } from './ask-price.ts'
import { isRefusal, mayBeEdge, refusedQuestion } from '../../payment/refused-question.ts'
import { clockSkew } from '../../core/telemetry/clock-skew.ts'
import { headerOf } from '../../payment/answer/read-reply.ts'
import { readChallenge } from '../../payment/read-challenge.ts'
import { ledgerAddress, readInference, readUrl } from './endpoint.ts'
import { isCatalogue, PROBE_MS, readStorefront, type ProbedService } from './storefront.ts'
import { printable } from '../../core/printable.ts'

/** The arguments of `tollway probe`. */
export interface ProbeRequest {
  readonly url: string
  readonly method: string | undefined
  readonly data: string | undefined
  /** Ask the price of a chat completion with this model. */
  readonly model: string | undefined
}

/** One offer, with the seller's texts cleaned. */
export interface ProbedOffer {
  /** Position in the seller's list, from 1: the value for `--payment-option`. */
  readonly option: number
  readonly scheme: string
  readonly method: string
  /** Alias or CAIP-2. */
  readonly network: string
  /** Symbol, or address if the token is not in the asset table. */
  readonly token: string
  /** Smallest units as requested, `undefined` if it is not a plain amount. */
  readonly amount: string | undefined
  /** In whole tokens. */
  readonly price: string | undefined
  readonly usd: string | undefined
  readonly payTo: string
}

/** The result of a probe. */
export interface Probed {
  /** The last request sent. */
  readonly url: string
  readonly method: string
  /** Status of the response; `undefined` if there was none. */
  readonly status: number | undefined
  readonly x402Version: number | undefined
  readonly offers: readonly ProbedOffer[]
  /** The same offers as the seller wrote them, not cleaned. */
  readonly rawOffers: readonly Offer[]
  /** Other payment methods on offer, as text. */
  readonly others: readonly string[]
  /** Services of the storefront, if the address is one. */
  readonly services: readonly ProbedService[] | undefined
  /** How far the seller's clock is ahead of ours, seconds; `undefined` when it sent no time. */
  readonly clockSkewSeconds: number | undefined
  /** Why there are no offers. */
  readonly error: TollwayError | undefined
}

/**
 * Asks a seller for its offers. If the address does not charge, it is also tried as an API base (its `/v1/chat/completions`)
 * and as a storefront (its `/api/services.json`).
 * @param assets for symbols, decimals and values
 * @throws ConfigError for an invalid address
 */
export async function probe(
  request: ProbeRequest,
  assets: readonly Asset[],
  signal: AbortSignal,
): Promise<Probed> {
  const url = readUrl(request.url)
  const timeouts: Timeouts = { connectMs: PROBE_MS, firstByteMs: PROBE_MS, totalMs: PROBE_MS }
  const upstream = createUpstream(timeouts)
  try {
    const chat = priceQuestion(readInference(request.url).url, request.model ?? 'probe')
    const isChat = request.model !== undefined || chat.url === url.href
    const own: OutgoingRequest = isChat && request.data === undefined ? chat : requestOf(request, url)
    const first = await ask(upstream, own, assets, signal)
    if (isCatalogue(url)) return { ...first, services: await readStorefront(upstream, url, signal) }
    if (first.offers.length > 0 || isChat || request.method !== undefined || request.data !== undefined)
      return first
    const second = await ask(upstream, chat, assets, signal)
    const services = await readStorefront(upstream, url, signal)
    if (second.offers.length > 0) return { ...second, services }
    return { ...first, services }
  } finally {
    await upstream.close()
  }
}

function requestOf({ method, data }: ProbeRequest, url: URL): OutgoingRequest {
  const body = data === undefined ? undefined : Buffer.from(data)
  return {
    method: (method ?? (body ? 'POST' : 'GET')).toUpperCase(),
    url: url.href,
    headers: { ...OWN_HEADERS, ...(body ? { 'content-type': 'application/json' } : {}) },
    body,
    toSeller: true,
  }
}

async function ask(
  upstream: Upstream,
  request: OutgoingRequest,
  assets: readonly Asset[],
  signal: AbortSignal,
): Promise<Probed> {
  const asked = commandRequest(systemClock.now(), {
    route: 'probe',
    payer: 'none',
    ...ledgerAddress(new URL(request.url)),
    model: 'probe',
  })
  const facts = {
    url: request.url,
    method: request.method,
    offers: [],
    rawOffers: [],
    others: [],
    services: undefined,
    clockSkewSeconds: undefined,
  }
  const none = { ...facts, x402Version: undefined }
  let status: number | undefined
  try {
    const context = { upstream, clock: systemClock, timers: systemTimers }
    const reply = await askSeller(context, asked, request, signal)
    status = reply.status
    if (status !== 402) {
      const error =
        isRefusal(status) || mayBeEdge(reply)
          ? await refusedQuestion(reply, request.url, { name: 'the address' })
          : undefined
      reply.body.destroy()
      return { ...none, status, error }
    }
    const challenge = await readChallenge(reply, PRICE_MS)
    const { x402Version, others } = challenge
    return {
      ...facts,
      clockSkewSeconds: clockSkew(headerOf(reply, 'date'), systemClock.now()),
      status,
      x402Version,
      offers: offersOf(challenge, assets),
      rawOffers: challenge.offers,
      others: others.map((other) => printable(other, 200)),
      error: undefined,
    }
  } catch (error) {
    if (!(error instanceof TollwayError)) throw error
    return { ...none, status, error }
  }
}

function offersOf({ offers }: Challenge, assets: readonly Asset[]): ProbedOffer[] {
  return offers.map((offer, index) => {
    const asset = findAsset(assets, offer.network, offer.asset)
    const amount = parseAtomic(offer.amount)
    const usd =
      asset?.usd && amount !== undefined
        ? formatUsd(toMicroUsd(amount, asset.decimals, asset.usd))
        : undefined
    return {
      option: index + 1,
      scheme: printable(offer.scheme, 200),
      method: printable(methodName(offer), 200),
      network: findNetwork(offer.network)?.alias ?? printable(offer.network, 200),
      token: asset?.symbol ?? printable(offer.asset, 200),
      amount: amount?.toString(),
      price: asset && amount !== undefined ? formatUnits(amount, asset.decimals) : undefined,
      usd,
      payTo: printable(offer.payTo, 200),
    }
  })
}
