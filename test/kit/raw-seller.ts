import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'

/** A seller that writes bytes, not answers: for what no HTTP server would send. */
export interface RawSeller {
  readonly url: string
  readonly apiBase: string
  /** Heads of the requests, oldest first. */
  readonly heads: readonly string[]
  close(): Promise<void>
}

/**
 * Starts one.
 * @param answer called with each whole request; may write, wait and end as it likes
 */
export async function startRawSeller(
  answer: (socket: Socket, request: { readonly head: string; readonly isPaid: boolean }) => void,
): Promise<RawSeller> {
  const heads: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => {})
    let received = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      const end = received.indexOf('\r\n\r\n')
      if (end === -1) return
      const head = received.subarray(0, end).toString('latin1')
      const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0)
      if (received.length < end + 4 + length) return
      received = received.subarray(end + 4 + length)
      heads.push(head)
      answer(socket, { head, isPaid: /^(?:payment-signature|x-payment):/im.test(head) })
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
  return {
    url,
    apiBase: `${url}/v1`,
    heads,
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** An HTTP/1.1 answer as text. */
export function raw(status: number, headers: Readonly<Record<string, string>>, body = ''): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${status} X\r\n${lines.join('')}\r\n${body}`
}

/** Writes a piece again and again until the other side has enough. */
export function dribble(socket: Socket, piece: string | Buffer, everyMs: number): void {
  const timer = setInterval(() => socket.write(piece), everyMs)
  socket.once('close', () => clearInterval(timer))
}
