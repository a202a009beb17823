/** The unpaid question to a seller that a catalogue names: what does it ask now. */
import type { Listing } from '../../core/catalogue/listing.ts'
import { systemClock } from '../../core/clock.ts'
import { ConfigError, TollwayError } from '../../core/errors.ts'
import { systemTimers } from '../../core/timers.ts'
import type { Challenge } from '../../core/x402/x402.ts'
import type { OutgoingRequest, Upstream } from '../../io/transport/upstream.ts'
import { isRefusal, mayBeEdge, refusedQuestion } from '../../payment/refused-question.ts'
import { readChallenge } from '../../payment/read-challenge.ts'
import { askSeller, commandRequest, OWN_HEADERS, PRICE_MS, priceQuestion } from '../buying/ask-price.ts'
import { ledgerAddress, readInference, readUrl } from '../buying/endpoint.ts'

/** What the seller answered. */
export interface AskedNow {
  /** Status of the answer; `undefined` if there was none. */
  readonly status: number | undefined
  /** The offers of a 402 that can be read. */
  readonly challenge: Challenge | undefined
  /** Why there are no offers. */
  readonly problem: string | undefined
}

/** Asks once. Where the catalogue names no method, a GET that is not taken is followed by a POST. */
export async function askNow(upstream: Upstream, listing: Listing, signal: AbortSignal): Promise<AskedNow> {
  const { url, method } = listing
  if (url === undefined)
    return { status: undefined, challenge: undefined, problem: 'The catalogue names no address.' }
  try {
    readUrl(url)
    const first = await ask(upstream, questionOf(listing, url, method ?? 'GET'), signal)
    const isWrongMethod = first.status === 404 || first.status === 405
    return method === undefined && isWrongMethod
      ? await ask(upstream, questionOf(listing, url, 'POST'), signal)
      : first
  } catch (error) {
    if (error instanceof ConfigError)
      return { status: undefined, challenge: undefined, problem: error.message }
    throw error
  }
}

function questionOf({ kind, model }: Listing, url: string, method: string): OutgoingRequest {
  // Services of models are asked as a route would ask them.
  if (kind === 'inference' || kind === 'agent') return priceQuestion(readInference(url).url, model ?? 'probe')
  const hasBody = method !== 'GET' && method !== 'HEAD'
  return {
    method,
    url,
    headers: { ...OWN_HEADERS, ...(hasBody ? { 'content-type': 'application/json' } : {}) },
    body: hasBody ? Buffer.from('{}') : undefined,
    toSeller: true,
    timeouts: { firstByteMs: PRICE_MS, totalMs: PRICE_MS },
  }
}

async function ask(upstream: Upstream, request: OutgoingRequest, signal: AbortSignal): Promise<AskedNow> {
  const asked = commandRequest(systemClock.now(), {
    route: 'find',
    payer: 'none',
    ...ledgerAddress(new URL(request.url)),
    model: 'probe',
  })
  let status: number | undefined
  try {
    const context = { upstream, clock: systemClock, timers: systemTimers }
    const reply = await askSeller(context, asked, request, signal)
    status = reply.status
    if (status === 402) return { status, challenge: await readChallenge(reply, PRICE_MS), problem: undefined }
    const isRefused = isRefusal(status) || mayBeEdge(reply)
    const refused = isRefused ? await refusedQuestion(reply, request.url, { name: 'the address' }) : undefined
    reply.body.destroy()
    const problem = refused?.message ?? `It answered ${status} and asks for no payment.`
    return { status, challenge: undefined, problem }
  } catch (error) {
    if (!(error instanceof TollwayError)) throw error
    return { status, challenge: undefined, problem: error.message }
  }
}
