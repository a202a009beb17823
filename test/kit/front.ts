import type { ServerResponse } from 'node:http'
import { startScriptedSeller } from './scripted-seller.ts'
import { type ScriptedSeller } from './scripted-seller.ts'
import { type SellerRequest } from './scripted-seller.ts'

/** Does what it likes with a request, and may ask the real seller. */
export type FrontHandler = (
  request: SellerRequest,
  response: ServerResponse,
  forward: () => Promise<Response>,
) => Promise<void>

const DROPPED = new Set(['host', 'connection', 'content-length', 'transfer-encoding', 'expect'])

/** A server in front of a real seller, to lose, delay or change its answers. Requests without a payment pass untouched. */
export async function startFront(sellerUrl: string, handler: FrontHandler): Promise<ScriptedSeller> {
  return await startScriptedSeller(async (request, response) => {
    const forward = (): Promise<Response> => {
      const headers = new Headers()
      for (const [name, value] of Object.entries(request.headers)) {
        if (!DROPPED.has(name) && value !== undefined) headers.set(name, String(value))
      }
      const body = request.method === 'GET' ? null : new Uint8Array(request.body)
      return fetch(`${sellerUrl}${request.url}`, { method: request.method, headers, body })
    }
    if (isPaid(request)) await handler(request, response, forward)
    else await relay(response, await forward())
  })
}

/** Whether a request carries a payment. */
export function isPaid({ headers }: SellerRequest): boolean {
  return headers['payment-signature'] !== undefined || headers['x-payment'] !== undefined
}

/** Passes an answer on, piece by piece. */
export async function relay(
  response: ServerResponse,
  answer: Response,
  change: (headers: Headers) => void = () => undefined,
): Promise<void> {
  const headers = new Headers(answer.headers)
  for (const name of [
    'connection',
    'content-length',
    'content-encoding',
    'transfer-encoding',
    'keep-alive',
  ]) {
    headers.delete(name)
  }
  change(headers)
  response.writeHead(answer.status, Object.fromEntries(headers))
  for await (const piece of answer.body ?? []) response.write(piece)
  response.end()
}
