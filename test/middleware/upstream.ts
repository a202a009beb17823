/** A plain upstream for the pass-through tests: echoes, streams, breaks and upgrades. */
import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http'
import { collect, serve } from './harness.ts'

export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface TestUpstream {
  readonly port: number
  readonly apiBase: string
  readonly seen: SeenRequest[]
  /** Lets a stream of `/v1/files/slow` go on after its first event. */
  goOn(): void
}

/** Every byte value, four times: any text decoding on the way would show. */
export const BINARY = Buffer.from(Uint8Array.from({ length: 1024 }, (_, at) => at % 256))

const EVENTS = ['data: {"a":"é"}\n\n', ': ping\n\n', 'data: [DONE]\n\n']

export async function startUpstream(): Promise<TestUpstream> {
  const seen: SeenRequest[] = []
  const gate = Promise.withResolvers<void>()
  const port = await serve((req, res) => {
    collect(req).then(
      (body) => answer(req, res, remember(seen, req, body), gate.promise),
      () => res.destroy(),
    )
  }, upgrades(seen))
  return { port, apiBase: `http://127.0.0.1:${port}/v1`, seen, goOn: gate.resolve }
}

function remember(seen: SeenRequest[], req: IncomingMessage, body: Buffer): Buffer {
  seen.push({ method: req.method ?? '', url: req.url ?? '', headers: req.headers, body })
  return body
}

function answer(req: IncomingMessage, res: ServerResponse, body: Buffer, gate: Promise<void>): void {
  const path = (req.url ?? '').split('?')[0]
  if (path === '/v1/files/content') {
    res
      .writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': BINARY.length })
      .end(BINARY)
  } else if (path === '/v1/files/stream') {
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const event of EVENTS) res.write(event)
    res.end()
  } else if (path === '/v1/files/slow') {
    res.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
    void gate.then(() => res.end('data: 2\n\n'))
  } else if (path === '/v1/files/forger') {
    res.writeHead(200, {
      'x-tollway-spent': 'yes',
      'x-tollway-cost-usd': '9',
      'x-request-id': 'theirs',
      'set-cookie': ['a=1', 'b=2'],
    })
    res.end('{}')
  } else if (path === '/v1/files/teapot') {
    res.writeHead(418, 'short and stout', { 'content-type': 'text/plain' }).end('no coffee')
  } else if (path === '/v1/files/broken') {
    res.writeHead(200, { 'content-length': 100 })
    res.write('half', () => res.destroy())
  } else if (path === '/v1/files/reset') {
    res.destroy()
  } else if (path === '/v1/files/silent') {
    req.socket.setTimeout(0)
  } else {
    res.writeHead(200, { 'content-type': req.headers['content-type'] ?? 'application/json' }).end(body)
  }
}

function upgrades(seen: SeenRequest[]): (server: Server) => void {
  return (server) => {
    server.on('upgrade', (req: IncomingMessage, socket, head: Buffer) => {
      seen.push({ method: req.method ?? '', url: req.url ?? '', headers: req.headers, body: head })
      socket.on('error', () => undefined)
      if (req.url?.includes('refuse')) {
        socket.end('HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\n\r\nno')
        return
      }
      if (req.url?.includes('silent')) return
      if (req.url?.includes('stuck')) {
        socket.write('HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\n\r\nn')
        socket.resume().on('end', () => socket.end())
        return
      }
      if (req.url?.includes('reset')) {
        socket.destroy()
        return
      }
      const accept = createHash('sha1')
        .update(`${String(req.headers['sec-websocket-key'])}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest('base64')
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
      )
      socket.pipe(socket)
    })
  }
}
