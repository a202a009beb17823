/**
 * Keeps web pages out: any site open in a browser can try to reach a gateway on a local address, and this gateway
 * can pay.
 */
import { z } from 'zod'
import { TollwayError } from '../src/core/errors.ts'
import { setResponseHeaders } from './http/response-headers.ts'
import { exchangeOf } from './http/exchange-of.ts'
import { named, type Handler, type Request } from './http/handler.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
import { HOST_NAME, HOST_WITH_PORT } from '../src/core/host-name.ts'

/** Options of {@link originGuard}. */
export interface OriginGuardOptions {
  /** Host names served in addition to localhost, 127.0.0.1 and [::1], without a port; any port passes. */
  readonly hosts?: readonly string[] | undefined
  /**
   * Web pages that may call, besides those of the gateway's own host: origins such as `https://app.example.com`. Their
   * CORS headers are not set here: mount `cors()` before it.
   */
  readonly origins?: readonly string[] | undefined
  /** Accepts any Host. Only for a listener that other machines reach and that requires a caller key. */
  readonly allowAnyHost?: boolean | undefined
}

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]']

const SCHEMA = z.strictObject({
  hosts: z
    .array(
      z
        .string()
        .toLowerCase()
        .regex(HOST_NAME, 'write the host name only, without scheme, port or path, e.g. "gateway.internal"'),
    )
    .default([]),
  origins: z
    .array(
      z
        .string()
        .refine(
          (text) => URL.canParse(text) && new URL(text).origin === text.toLowerCase(),
          'write an origin, scheme and host without a path, e.g. "https://app.example.com"',
        )
        .toLowerCase(),
    )
    .default([]),
  allowAnyHost: z.boolean().default(false),
})

/**
 * Refuses requests a web page may have caused: a Host that is not ours (DNS rebinding), a foreign `Origin`, a
 * cross-site `Sec-Fetch-Site`. All answer 403 `origin_not_allowed`. Sets the default answer headers.
 * @throws ConfigError for a mistake in the options
 */
export function originGuard(options: OriginGuardOptions = {}): Handler {
  const settings = parseOptions('originGuard', SCHEMA, options)
  const names = new Set([...LOOPBACK, ...settings.hosts])
  const mayEnter = (name: string): boolean => settings.allowAnyHost || names.has(name)
  const pages = new Set(settings.origins)

  return named<Handler>('originGuard', (req, res, next) => {
    setResponseHeaders(res, exchangeOf(req))
    next(refusal(req, mayEnter, pages))
  })
}

function refusal(
  req: Request,
  mayEnter: (name: string) => boolean,
  pages: ReadonlySet<string>,
): TollwayError | undefined {
  const host = singleHost(req)
  const name = host === undefined ? undefined : HOST_WITH_PORT.exec(host)?.[1]
  if (host === undefined || name === undefined) {
    return refuse(
      'The request must carry exactly one Host header, a name or address with an optional port.',
      [],
    )
  }
  if (!mayEnter(name)) {
    return refuse('This gateway does not serve the name in the Host header.', [
      'Call it as localhost or 127.0.0.1, or add the name to hosts.',
    ])
  }
  // An absolute target names a second host, which nothing here checks.
  if (req.url !== undefined && !req.url.startsWith('/') && req.url !== '*') {
    return refuse('The request target must be a path, not a whole URL.', [
      'Set the base URL of the client instead of an HTTP proxy.',
    ])
  }
  const { origin } = req.headers
  if (origin !== undefined && pages.has(origin.toLowerCase())) return undefined
  if (origin !== undefined && !isOwn(origin, host)) {
    return refuse('Web pages of another origin may not call this gateway.', [
      'Call it from a program or a server, not from a browser page, or add the page to origins.',
    ])
  }
  const site = req.headers['sec-fetch-site']
  if (site === 'cross-site' || site === 'same-site') {
    return refuse('A page of another site caused this request, which is not allowed.', [
      'Open the address directly or call it from a program.',
    ])
  }
  if (isFormOfBrowser(req) && origin === undefined) {
    return refuse('A browser sent a form without saying which page it came from.', [
      'Call it from a program; one that names itself as a browser must send an Origin header of this gateway.',
    ])
  }
  return undefined
}

/** The one kind of body that a page can send to any address without a preflight, and that model endpoints accept. */
function isFormOfBrowser({ headers }: Request): boolean {
  const isForm = /^\s*multipart\//i.test(headers['content-type'] ?? '')
  return (
    isForm && (headers['sec-fetch-site'] !== undefined || /^mozilla\//i.test(headers['user-agent'] ?? ''))
  )
}

/** Node keeps the first of several Host headers; another proxy on the path may have used the last. */
function singleHost(req: Request): string | undefined {
  const count = req.rawHeaders.filter((text, at) => at % 2 === 0 && text.toLowerCase() === 'host').length
  return count === 1 ? req.headers.host?.toLowerCase() : undefined
}

function isOwn(origin: string, host: string): boolean {
  const lower = origin.toLowerCase()
  return lower === `http://${host}` || lower === `https://${host}`
}

function refuse(message: string, advice: readonly string[]): TollwayError {
  return new TollwayError({ code: 'origin_not_allowed', message, advice })
}
