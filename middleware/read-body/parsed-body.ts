/** Bodies that a parser of the host application has read before Tollway. */
import { property } from '../../src/core/property.ts'
import type { Request } from '../http/handler.ts'

/** Whether an earlier handler read the body: its bytes are gone from the request. */
export function isAlreadyRead(req: Request): boolean {
  return req.readableDidRead || req.readableEnded
}

/**
 * The bytes that are forwarded: `req.rawBody` where the host kept it, a body that was read as bytes or text as it is,
 * and a parsed one written as JSON again. Writing again keeps every value that JSON.parse keeps: white space and the
 * order of equal keys are lost, and numbers beyond 2^53 or with more than 17 digits are rounded.
 */
export function parsedBytes(
  req: Request,
): { readonly bytes: Buffer; readonly rewritten: boolean } | undefined {
  const raw = property(req, 'rawBody')
  const { body } = req
  for (const kept of [raw, body]) {
    if (kept instanceof Uint8Array) {
      return { bytes: Buffer.from(kept.buffer, kept.byteOffset, kept.byteLength), rewritten: false }
    }
    if (typeof kept === 'string') return { bytes: Buffer.from(kept), rewritten: false }
  }
  if (typeof body !== 'object' || body === null) return undefined
  return { bytes: Buffer.from(JSON.stringify(body)), rewritten: true }
}

/** Gives handlers behind `req.body`, parsed when it is first read, as `express.json()` would. */
export function offerParsed(req: Request, body: Buffer): void {
  // A property of the host's that cannot be set is the host's: it knows why.
  if (req.body !== undefined || Object.getOwnPropertyDescriptor(req, 'body')?.configurable === false) return
  let parsed: { readonly value: unknown } | undefined
  Object.defineProperty(req, 'body', {
    configurable: true,
    enumerable: true,
    get: () => (parsed ??= { value: JSON.parse(body.toString('utf8')) }).value,
    set(value: unknown) {
      parsed = { value }
    },
  })
}
