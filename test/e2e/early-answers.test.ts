/** Upstreams that answer before they have read the request, and close: what they said is what the client gets. */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startGateway, type TestGateway } from '../kit/gateway.ts'

const BODY = '{"error":{"message":"too big for us","type":"invalid_request_error"}}'
const ANSWER = `HTTP/1.1 413 Payload Too Large\r\ncontent-type: application/json\r\ncontent-length: ${BODY.length}\r\nconnection: close\r\n\r\n${BODY}`

/** How the upstream ends the connection once its answer is written. */
let ending: 'end' | 'destroy' | 'reset' | 'late'
let server: Server
let tollway: TestGateway
const sockets = new Set<Socket>()

beforeAll(async () => {
  server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    socket.once('data', () => {
      // Nothing more is read: the rest of the body stays in the way.
      socket.pause()
      socket.write(ANSWER, () => {
        if (ending === 'end') socket.end()
        else if (ending === 'destroy') socket.destroy()
        else if (ending === 'reset') socket.resetAndDestroy()
        else setTimeout(() => socket.destroy(), 50)
      })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
  tollway = await startGateway({
    upstream: { api_base: url },
    model_list: [{ model_name: 'local', api_base: url }],
  })
})

afterAll(async () => {
  for (const socket of sockets) socket.destroy()
  await tollway?.close()
  server?.close()
})

/** More than the buffers of a connection on the loopback device hold: some 4.5 MiB. */
const MANY = 'x'.repeat(5 * 1024 * 1024)

describe.each(['end', 'destroy', 'reset', 'late'] as const)(
  'an upstream that answers 413 and then does %s',
  (how) => {
    test.each([
      ['a route', '/v1/chat/completions', `{"model":"local","messages":[],"pad":"${MANY}"}`],
      ['a streamed request', '/v1/chat/completions', `{"model":"local","stream":true,"pad":"${MANY}"}`],
      ['the default upstream', '/v1/embeddings', `{"model":"other","input":"${MANY}"}`],
      ['a path that is passed through', '/v1/files', MANY],
    ])('is relayed from %s', async (_name, path, body) => {
      ending = how
      const answer = await fetch(`${tollway.url}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      })
      expect([answer.status, await answer.text()]).toEqual([413, BODY])
    })
  },
)
