/** Requests that a web page could have triggered in its visitor's browser: an image, a link, a form. */
import { TollwayError } from '../../core/errors.ts'
import type { Request } from '../../../middleware/http/handler.ts'

/** The types a form or a page without a preflight can send (Fetch, CORS-safelisted request-header). */
const SIMPLE_TYPES: ReadonlySet<string> = new Set([
  '',
  'text/plain',
  'application/x-www-form-urlencoded',
  'multipart/form-data',
])

/**
 * Whether nothing in a request proves that a program made it. Some browsers send neither `Origin` nor `Sec-Fetch-Site` with an
 * image, so those headers cannot decide it. A header that a page cannot set without a preflight, which we refuse, can.
 */
export function mayComeFromPage({ method, headers }: Pick<Request, 'method' | 'headers'>): boolean {
  if ((method === 'GET' || method === 'HEAD') && isProgram(headers['user-agent'])) return false
  const type = (headers['content-type'] ?? '').split(/[;,]/, 1)[0]?.trim().toLowerCase() ?? ''
  if (!SIMPLE_TYPES.has(type)) return false
  // Not Basic: a page can put a name and a password into an address.
  if (/^bearer\s/i.test(headers.authorization ?? '')) return false
  return (
    headers['x-api-key'] === undefined && !Object.keys(headers).some((name) => name.startsWith('x-tollway-'))
  )
}

/** Every browser names itself as one of these, and no page can name its visitor's browser otherwise without a preflight. */
const BROWSER = /mozilla|webkit|gecko|chrom|safari|opera|presto|trident|msie|edg/i

/** Whether what fetches an address names itself, and not as a browser: curl, a library of a language. */
function isProgram(userAgent: string | undefined): boolean {
  return userAgent !== undefined && userAgent.trim() !== '' && !BROWSER.test(userAgent)
}

/** The error for such a request. */
export function pageRefused(): TollwayError {
  return new TollwayError({
    code: 'origin_not_allowed',
    message: 'A web page could have triggered this request, and it might be paid; nothing was sent.',
    advice: [
      'Send JSON with "Content-Type: application/json", or add a header that no page can set, such as "x-tollway-client: curl".',
      'If callers have keys, sending the key is enough.',
    ],
  })
}
