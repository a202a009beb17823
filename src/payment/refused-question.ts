/**
 * Answers to the unpaid question that are neither an offer nor an outage: redirects, and refusals of who asks. Nothing was
 * paid, and waiting changes nothing.
 */
import { Readable } from 'node:stream'
import { printable } from '../core/printable.ts'
import type { IncomingReply } from '../io/transport/upstream.ts'
import { readSellerError } from '../core/x402/seller-error.ts'
import { edgeByHeaders, edgeOf } from './answer/edge-challenge.ts'
import { headerOf, readReply } from './answer/read-reply.ts'
import { sellerSaid } from './answer/seller-message.ts'
import { peekBody } from './peek-body.ts'
import { SellerUnavailableError } from './send-unpaid.ts'

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** What an answer means, and what helps. */
interface Refusal {
  readonly what: string
  readonly advice: string
}

/** What a status says about who asks, and what helps. */
const REFUSALS: ReadonlyMap<number, Refusal> = new Map([
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
      what: 'refuses access',
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
    406,
    {
      what: 'does not accept the request in this form',
      advice:
        'Firewalls answer so too: set user_agent for the payer or route, or ask it to admit this address.',
    },
  ],
  [
    407,
    { what: 'is behind a proxy that asks for a login', advice: 'Let the gateway reach the seller directly.' },
  ],
  [410, { what: 'says that it is gone', advice: 'Remove the route, or correct api_base.' }],
  [
    426,
    {
      what: 'asks for another version of the protocol',
      advice: 'Check whether api_base should begin with https.',
    },
  ],
  [431, { what: 'says that the headers are too large', advice: 'Send fewer or shorter headers.' }],
  [451, { what: 'may not serve this location', advice: 'Choose another seller.' }],
  [
    501,
    { what: 'does not know this method', advice: 'Correct api_base, or use an endpoint that it serves.' },
  ],
  [
    511,
    {
      what: 'is behind a network that asks for a login',
      advice: 'Sign in to the network of this machine, or use another one.',
    },
  ],
])

/** Any other 4xx is about this request: the same one gets the same answer after any pause. */
const OTHER: Refusal = {
  what: 'refuses the request as it is',
  advice: 'Its own words may say why: correct the route, or ask the seller.',
}

/** The request itself is at fault, or nothing is paid yet. */
const ABOUT_THE_REQUEST: ReadonlySet<number> = new Set([400, 402, 404, 413, 415, 422])

/** Statuses of 4xx that another try may not meet again. */
const PASSING: ReadonlySet<number> = new Set([408, 409, 423, 424, 425, 429, 499])

const PAGE: Refusal = {
  what: 'answers with a web page',
  advice: 'Correct api_base: it must be the address of the API, often with /v1 at its end.',
}

const MAX_BODY_BYTES = 16_384
const BODY_MS = 2_000

/** What to change where the address that was asked is wrong. */
export interface Fix {
  /** Its name; default the route's `api_base`. */
  readonly name?: string | undefined
  /** Its value. */
  readonly apiBase?: string | undefined
}

/** The seller refused the question itself. */
export class QuestionRefusedError extends SellerUnavailableError {}

/** Whether a status refuses the question instead of telling of an outage. */
export function isRefusal(status: number): boolean {
  return REDIRECTS.has(status) || refusalOfStatus(status) !== undefined
}

function refusalOfStatus(status: number): Refusal | undefined {
  const isOther = status >= 400 && status < 500 && !ABOUT_THE_REQUEST.has(status) && !PASSING.has(status)
  return REFUSALS.get(status) ?? (isOther ? OTHER : undefined)
}

/** Whether an answer may come from the protection in front of the seller: by its headers, or because it is a page. */
export function mayBeEdge({ status, headers }: Pick<IncomingReply, 'status' | 'headers'>): boolean {
  if (edgeByHeaders({ header: (name) => headerOf({ headers }, name) }) !== undefined) return true
  return status >= 400 && /^\s*text\/(?:html|plain)/i.test(headerOf({ headers }, 'content-type') ?? '')
}

/**
 * Reads why the question was refused.
 * @param url what was asked
 * @returns `undefined` for an outage: the answer's body is read then
 */
export async function refusedQuestion(
  answer: IncomingReply,
  url: string,
  fix: Fix = {},
): Promise<QuestionRefusedError | undefined> {
  const body = await readReply(answer, MAX_BODY_BYTES, BODY_MS).catch(() => undefined)
  const bytes = body?.bytes ?? Buffer.alloc(0)
  const header = (name: string): string | undefined => headerOf(answer, name)
  const refusal = refusalOf(answer, url, fix, edgeOf({ header, text: bytes.toString('utf8') }))
  return refusal && refusedBy(answer, refusal, bytes)
}

function refusedBy(
  answer: Pick<IncomingReply, 'status' | 'headers'>,
  { what, advice }: Refusal,
  body: Buffer,
): QuestionRefusedError {
  const { status } = answer
  const words = readSellerError((name) => headerOf(answer, name), body)
  return new QuestionRefusedError(
    `${what} (status ${status} to the unpaid request)`,
    `status_${status}`,
    undefined,
    {
      advice: [advice],
      waitHelps: false,
      ...sellerSaid(status, words),
    },
  )
}

/**
 * An answer that is relayed as it is, unless the protection in front of the seller made it, or it is a web page instead of the
 * API's own answer.
 * @throws QuestionRefusedError
 */
export async function withoutPage(answer: IncomingReply): Promise<IncomingReply> {
  const isPage = /^\s*text\/html/i.test(headerOf(answer, 'content-type') ?? '')
  if (!isPage && !mayBeEdge(answer)) return answer
  // An error is read as far as its page may tell; of an answer that may be a stream only the first bytes.
  const { beginning, body } = await peekBody(answer.body, answer.status < 300 ? 0 : MAX_BODY_BYTES)
  const text = beginning.toString('utf8')
  const edge = edgeOf({ header: (name) => headerOf(answer, name), text })
  const refusal = edge === undefined ? undefined : behind(edge)
  if (refusal || (answer.status < 300 && /^\s*</.test(text))) {
    body.destroy()
    throw refusedBy(answer, refusal ?? PAGE, beginning)
  }
  const again = Readable.from(body)
  again.once('close', () => answer.body.destroy())
  return { ...answer, body: again }
}

function refusalOf(
  answer: IncomingReply,
  url: string,
  fix: Fix,
  edge: string | undefined,
): Refusal | undefined {
  if (REDIRECTS.has(answer.status)) return redirected(answer, url, fix)
  return edge === undefined ? refusalOfStatus(answer.status) : behind(edge)
}

function behind(edge: string): Refusal {
  return {
    what: `is behind ${edge}, whose bot protection stopped the request before it`,
    advice:
      'Ask it to admit programs or this address; another user_agent for the payer or route may help. Waiting does not.',
  }
}

/** A payment never follows a redirect: it would reach an address that was not checked. */
function redirected({ headers }: IncomingReply, url: string, fix: Fix): Refusal {
  const { name = 'api_base' } = fix
  const given = headers['location']
  const location = typeof given === 'string' ? given : given?.[0]
  const target = location === undefined || !URL.canParse(location, url) ? undefined : new URL(location, url)
  if (!target || !/^https?:$/.test(target.protocol)) {
    return { what: 'redirects without an address', advice: `Correct ${name}. Redirects are not followed.` }
  }
  const address = printable(`${target.origin}${target.pathname}`, 200)
  const line = apiBaseThere(target, url, fix)
  const advice = `Set ${name} to where it leads, if you trust it${line}. Redirects are not followed, so that no payment reaches another address.`
  return { what: `redirects to ${address}`, advice }
}

/** The `api_base` under which the same endpoint is where a redirect leads; empty where it is not plain. */
function apiBaseThere({ origin, pathname }: URL, url: string, { apiBase }: Fix): string {
  if (apiBase === undefined || !url.startsWith(apiBase)) return ''
  const [endpoint = ''] = url.slice(apiBase.replace(/\/+$/, '').length).split(/[?#]/)
  const path = pathname.replace(/\/+$/, '')
  if (endpoint === '' || !path.endsWith(endpoint)) return ''
  const there = `${origin}${path.slice(0, -endpoint.length)}`
  return /^[\x21-\x7e]{1,200}$/.test(there) ? `: api_base: "${there}"` : ''
}
