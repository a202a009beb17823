/** Requests that a web page could have caused on the machine of who looks at it: an image, a link, a form. */
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
 * Whether nothing about a request shows that a program made it. Browsers that send neither `Origin` nor `Sec-Fetch-Site` with an
 * image cannot be told by those; what no page can set without being asked first (a preflight, which the door refuses) can.
 */
export function mayComeFromPage({ headers }: Pick<Request, 'headers'>): boolean {
  const type = (headers['content-type'] ?? '').split(/[;,]/, 1)[0]?.trim().toLowerCase() ?? ''
  if (!SIMPLE_TYPES.has(type)) return false
  // Not Basic: a page can put a name and a password into an address.
  if (/^bearer\s/i.test(headers.authorization ?? '')) return false
  return (
    headers['x-api-key'] === undefined && !Object.keys(headers).some((name) => name.startsWith('x-tollway-'))
  )
}

/** What such a request is told. */
export function pageRefused(): TollwayError {
  return new TollwayError({
    code: 'origin_not_allowed',
    message: 'A web page could have sent this request, and it could be paid for; nothing was sent.',
    advice: [
      'Send JSON with "Content-Type: application/json", or add a header that no page can set, e.g. "x-tollway-client: curl".',
      'Where callers have keys, the key is enough.',
    ],
  })
}
