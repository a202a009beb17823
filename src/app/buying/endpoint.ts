/** Reads addresses as people type them: a storefront, an API base, or the path of one service. */
import { ConfigError } from '../../core/errors.ts'
import { sellerBase } from '../../core/vouchers/voucher.ts'
import { isLoopbackHost } from '../config/values/addresses.ts'

const CHAT = /\/chat\/completions$/

/** The address of a seller. */
export interface Inference {
  /** As voucher pools name it: without `/v1`. */
  readonly seller: string
  /** As routes name it. */
  readonly apiBase: string
  /** URL of its chat completions. */
  readonly url: string
}

/**
 * Reads an http or https address.
 * @throws ConfigError if it is not one, contains credentials, or would send a payment unencrypted to another machine
 */
export function readUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new ConfigError(`"${text}" is not an http or https address, such as https://seller.example.com/v1.`)
  }
  if (url.username !== '' || url.password !== '') {
    throw new ConfigError(
      'The address contains a user name or password. Remove them: sellers are paid and need no login.',
    )
  }
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname)) {
    throw new ConfigError(
      `${url.origin} is plain http to another machine, and a signed payment would be sent unencrypted. Use https.`,
    )
  }
  url.hash = ''
  return url
}

/**
 * The seller behind an address: `https://host/services/qwen`, its `/v1`, or its `/v1/chat/completions`.
 * @throws ConfigError
 */
export function readInference(text: string): Inference {
  const url = readUrl(text)
  url.search = ''
  const seller = sellerBase(url.href.replace(/\/+$/, '').replace(CHAT, ''))
  return { seller, apiBase: `${seller}/v1`, url: `${seller}/v1/chat/completions` }
}

/** The name of a paid address in the ledger: base and path, split as for a route if it is one of a route's paths. */
export function ledgerAddress(url: URL): { readonly apiBase: string; readonly endpoint: string } {
  const plain = `${url.origin}${url.pathname}`.replace(/\/+$/, '')
  const match = /^(.*\/v1)(\/[a-z]+(?:\/[a-z]+)*)$/.exec(plain)
  return match?.[1] !== undefined && match[2] !== undefined
    ? { apiBase: match[1], endpoint: match[2] }
    : { apiBase: plain, endpoint: 'other' }
}
