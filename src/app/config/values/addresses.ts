/** Parses host names, URLs and listen addresses of the configuration. */
import { isIPv4, isIPv6 } from 'node:net'

/** A listen address. */
export interface ListenAddress {
  /** Host name or IP address; IPv6 without brackets. */
  readonly host: string
  /** 0..65535; 0 takes a free port. */
  readonly port: number
}

/** Parses `127.0.0.1:8402` or `[::1]:8402`; returns `undefined` for anything else. */
export function parseListen(text: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text)
  if (!match) return undefined
  const port = Number(match[3])
  const host = match[1] ?? match[2] ?? ''
  if (port > 65_535 || (match[1] !== undefined && !isIPv6(match[1]))) return undefined
  // Digits and dots that are not an IPv4 address are a typo, never a host name.
  if (match[2] !== undefined && /^[0-9.]+$/.test(host) && !isIPv4(host)) return undefined
  return { host, port }
}

/** Whether only this machine can reach the host. `0.0.0.0` and `::` mean every address, so they are not loopback. */
export function isLoopbackHost(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[|\]$/g, '')
  return name === 'localhost' || name === '::1' || (isIPv4(name) && name.startsWith('127.'))
}

/** The reason why a text is not a valid `api_base`, or else the normalized URL without a trailing slash. */
export function parseApiBase(
  text: string,
): { readonly url: URL; readonly apiBase: string } | { readonly fault: string } {
  const example = 'Write it as https://host/v1.'
  if (!/^[\x21-\x7e]+$/.test(text) || text.includes('\\') || !URL.canParse(text)) {
    return { fault: `is not a URL. ${example}` }
  }
  const url = new URL(text)
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    return { fault: `must begin with https:// or http://. ${example}` }
  if (url.username !== '' || url.password !== '') {
    return { fault: 'holds a user name or password. Remove it; a bearer key goes under api_key.' }
  }
  if (text.includes('?') || text.includes('#')) {
    return {
      fault: 'has a query (?) or fragment (#), and the request path is appended to it. Remove that part.',
    }
  }
  return { url, apiBase: `${url.origin}${url.pathname}`.replace(/\/+$/, '') }
}

/** Whether a text is exactly an origin, as in `https://seller.example.com`: no path, no trailing slash, lower case. */
export function isOrigin(text: string): boolean {
  return /^https?:\/\//.test(text) && URL.canParse(text) && new URL(text).origin === text
}

/** The address to reach a listener at from this machine. */
export function addressOf({ host, port }: ListenAddress): string {
  const here = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `http://${here.includes(':') ? `[${here}]` : here}:${port}`
}
