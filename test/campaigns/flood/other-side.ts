/** The other process of the flood: a seller that does its worst, and the clients that asked for it. Talks to the campaign by IPC. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { challengeV2, OFFER, receiptV2 } from '../../kit/seller-answers.ts'
import { FLOODS, type FloodInput } from './inputs.ts'

/** What the campaign asks for. */
export interface FloodOrder {
  readonly url: string
  readonly name: string
  /** Requests at once. */
  readonly atOnce: number
}

let current: { readonly input: FloodInput; readonly body: Buffer } | undefined
let count = 0

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  request.resume()
  const isPaid = request.headers['payment-signature'] !== undefined
  if (!current || (!isPaid && current.input.isQuestion !== true)) {
    const unpaid = challengeV2([OFFER])
    response.writeHead(402, unpaid.headers).end(unpaid.body)
    return
  }
  const { input, body } = current
  const receipt = isPaid ? receiptV2({ success: true }) : {}
  response.writeHead(input.status ?? 200, { 'content-type': input.type, ...input.headers, ...receipt })
  const { pieces = body.length } = input
  for (const piece of inPieces(body, pieces)) {
    if (response.destroyed) return
    if (!response.write(piece)) await once(response, 'drain')
  }
  response.end()
}

function* inPieces(body: Buffer, bytes: number): Generator<Buffer, void, undefined> {
  for (let at = 0; at < body.length; at += bytes) yield body.subarray(at, at + bytes)
}

async function ask({ url }: FloodOrder, path: string, isStream: boolean): Promise<void> {
  count += 1
  const user = `flood ${count}`
  const response = await fetch(`${url}/v1${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'paid/m',
      stream: isStream,
      user,
      messages: [],
      input: user,
      max_tokens: 1,
    }),
  })
  // An answer that is cut off is one of the right outcomes.
  for await (const _ of response.body ?? []) void _
}

async function flood(order: FloodOrder): Promise<void> {
  const input = FLOODS[order.name]
  if (!input) throw new TypeError(`there is no flood of the name ${order.name}`)
  current = { input, body: input.body() }
  const { path = '/chat/completions', stream } = input
  await Promise.allSettled(Array.from({ length: order.atOnce }, async () => await ask(order, path, stream)))
}

const server = createServer(
  (request, response) => void answer(request, response).catch(() => response.destroy()),
)
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const address = server.address()
process.once('disconnect', () => process.exit())
process.on('message', (order: FloodOrder) => {
  flood(order).then(
    () => process.send?.('done'),
    (error: unknown) => process.send?.(String(error)),
  )
})
process.send?.({ port: typeof address === 'object' ? address?.port : 0 })
