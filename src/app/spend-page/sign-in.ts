/** `POST /dashboard/sign-in` and `/dashboard/sign-out`: start and end a session. */
import type { ServerResponse } from 'node:http'
import { TollwayError } from '../../core/errors.ts'
import type { Request } from '../../../middleware/http/handler.ts'
import type { Access } from './access.ts'

/** A form with one key of at most 4096 characters, percent-encoded. */
const MAX_FORM_BYTES = 16_384

/**
 * Reads the form, sets the session's cookies and redirects a browser to the page.
 * @throws TollwayError `invalid_api_key`, `too_many_attempts`, `request_too_large`
 */
export async function signIn(req: Request, res: ServerResponse, access: Access): Promise<void> {
  const form = new URLSearchParams(await readForm(req))
  // An empty key is a wrong key, counted as one.
  res.setHeader('set-cookie', await access.signIn(req, form.get('key') ?? ''))
  leadOn(req, res)
}

/** Ends the session and redirects a browser to the form. */
export function signOut(req: Request, res: ServerResponse, access: Access): void {
  res.setHeader('set-cookie', access.signOut(req))
  leadOn(req, res)
}

/** Whether the client is a browser that will show the answer as a page. */
export function wantsPage(req: Request): boolean {
  return (req.headers.accept ?? '').includes('text/html')
}

function leadOn(req: Request, res: ServerResponse): void {
  if (wantsPage(req)) res.writeHead(303, { location: '/dashboard' })
  else res.writeHead(204)
  res.end()
}

async function readForm(req: Request): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of req) {
    if (!Buffer.isBuffer(chunk)) throw new TypeError('a request body came as text')
    length += chunk.length
    if (length > MAX_FORM_BYTES) {
      throw new TollwayError({ code: 'request_too_large', message: 'A sign-in form is smaller.' })
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
