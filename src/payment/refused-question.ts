/**
 * Answers to the unpaid question that are neither an offer nor an outage: redirects, and refusals of who asks. Nothing was
 * paid, and waiting changes nothing.
 */
import { printable } from '../core/printable.ts'
import type { IncomingReply } from '../io/transport/upstream.ts'
import { readSellerWords } from '../core/x402/seller-words.ts'
import { headerOf, readReply } from './read-reply.ts'
import { sellerAnswer } from './seller-message.ts'
import { SellerUnavailableError } from './send-unpaid.ts'

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** What a status says about who asks, and what helps. */
const REFUSALS: ReadonlyMap<number, { readonly what: string; readonly advice: string }> = new Map([
  [
    401,
    {
      what: 'asks for a login',
      advice: 'It may sell to account holders only: ask it how to pay by x402, or use api_key.',
    },
  ],
  [
    403,
    {
      what: 'refuses access, itself or by the bot protection in front of it',
      advice: 'Ask it to admit this address, or set user_agent for the payer or route.',
    },
  ],
  [
    405,
    {
      what: 'does not take this method at this address',
      advice: 'Correct api_base: it may lack or repeat a part such as /v1.',
    },
  ],
  [
    407,
    { what: 'is behind a proxy that asks for a login', advice: 'Let the gateway reach the seller directly.' },
  ],
  [410, { what: 'says that it is gone', advice: 'Remove the route, or correct api_base.' }],
  [451, { what: 'may not serve this place', advice: 'Choose another seller.' }],
])

const MAX_BODY_BYTES = 16_384
const BODY_MS = 2_000

/** The seller refused the question itself. */
export class QuestionRefusedError extends SellerUnavailableError {}

/** Whether a status refuses the question instead of telling of an outage. */
export function isRefusal(status: number): boolean {
  return REDIRECTS.has(status) || REFUSALS.has(status)
}

/** @param url what was asked */
export async function refusedQuestion(answer: IncomingReply, url: string): Promise<QuestionRefusedError> {
  const { status } = answer
  const body = await readReply(answer, MAX_BODY_BYTES, BODY_MS).catch(() => undefined)
  const words = readSellerWords((name) => headerOf(answer, name), body?.bytes ?? Buffer.alloc(0))
  const seller = sellerAnswer(status, words)
  const { message } = seller
  const { what, advice } = REDIRECTS.has(status)
    ? redirected(answer, url)
    : (REFUSALS.get(status) ?? { what: 'refuses the request', advice: 'Correct api_base.' })
  return new QuestionRefusedError(
    `${what} (status ${status} to the unpaid request)`,
    `status_${status}`,
    undefined,
    {
      advice: [advice],
      waitHelps: false,
      details: { seller_status: status, seller_message: message },
      headers: message === null ? {} : { 'x-tollway-seller-message': message },
      seller,
    },
  )
}

/** A payment never follows a redirect: it would reach whom nobody checked. */
function redirected(
  { headers }: IncomingReply,
  url: string,
): { readonly what: string; readonly advice: string } {
  const given = headers['location']
  const location = typeof given === 'string' ? given : given?.[0]
  const target = location === undefined || !URL.canParse(location, url) ? undefined : new URL(location, url)
  if (!target || !/^https?:$/.test(target.protocol)) {
    return { what: 'redirects without an address', advice: 'Correct api_base. Redirects are not followed.' }
  }
  const address = printable(`${target.origin}${target.pathname}`, 200)
  const advice =
    'Set api_base to where it leads, if you trust it. Redirects are not followed, so that no payment reaches another address.'
  return { what: `redirects to ${address}`, advice }
}
