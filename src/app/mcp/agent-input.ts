/** Reads the arguments of `agent_pay`, in the order in which the pay.sh skill checks them. */
import { randomUUID } from 'node:crypto'
import { parseUsd } from '../../core/money/money.ts'
import { isLoopbackHost } from '../config/values/addresses.ts'
import { AgentFailure } from './agent-failure.ts'

/** The arguments as an agent gives them. */
export interface AgentArguments {
  readonly url: string
  /** Decimal text, e.g. `0.01`. */
  readonly max_usdc: string
  readonly method?: string | undefined
  readonly body?: unknown
}

/** A checked call. */
export interface AgentCall {
  readonly url: URL
  readonly method: 'GET' | 'POST'
  readonly body: Buffer | undefined
  readonly headers: Readonly<Record<string, string>>
  /** Micro-USDC. */
  readonly maxMicro: bigint
}

/** Bytes. */
const MAX_BODY = 8192
const MAX_AMOUNT_LENGTH = 40

/**
 * @param allowsPrivate whether http to this machine may be called, for trials
 * @throws AgentFailure
 */
export function readAgentCall(given: AgentArguments, allowsPrivate: boolean): AgentCall {
  const maxMicro = readAmount(given.max_usdc)
  const url = readUrl(given.url, allowsPrivate)
  const method = (given.method ?? 'GET').toUpperCase()
  if (method !== 'GET' && method !== 'POST')
    throw new AgentFailure('method_not_allowed', 'Only GET and POST can be paid for.')
  const headers = { accept: 'application/json, text/*;q=0.9, */*;q=0.8' }
  if (method === 'GET') return { url, method, body: undefined, headers, maxMicro }
  const body = readBody(given.body)
  // The same key on the question and on the paid request: a seller can tell that they are one.
  const posted = { ...headers, 'content-type': 'application/json', 'idempotency-key': randomUUID() }
  return { url, method, body, headers: posted, maxMicro }
}

function readAmount(text: string): bigint {
  const micro = text.length <= MAX_AMOUNT_LENGTH ? parseUsd(text) : undefined
  if (micro !== undefined && micro > 0n) return micro
  throw new AgentFailure(
    'invalid_input',
    'max_usdc must be a positive decimal text with at most 6 decimals, such as "0.01".',
  )
}

function readUrl(text: string, allowsPrivate: boolean): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || url.username !== '' || url.password !== '')
    throw new AgentFailure('invalid_url', 'url must be an absolute https address without a user name.')
  const isTrial = allowsPrivate && url.protocol === 'http:' && isLoopbackHost(url.hostname)
  if (url.protocol !== 'https:' && !isTrial)
    throw new AgentFailure(
      'non_https',
      'url must begin with https://, so that the payment cannot be read on its way.',
    )
  url.hash = ''
  return url
}

function readBody(value: unknown): Buffer {
  if (value === undefined || value === null)
    throw new AgentFailure('body_required_for_post', 'A POST needs body: a JSON object or array.')
  if (typeof value !== 'object')
    throw new AgentFailure('body_not_json', 'body must be a JSON object or array, not text.')
  const body = Buffer.from(JSON.stringify(value), 'utf8')
  if (body.length > MAX_BODY)
    throw new AgentFailure('body_too_large', `body is ${body.length} bytes; at most ${MAX_BODY} are sent.`)
  return body
}
