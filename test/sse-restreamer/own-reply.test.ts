/** Answers of an application's own upstream that are made to break the client's connection. */
import { createServer, request, type Server } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { restream, type OwnReply } from '../../middleware/sse-restreamer.ts'

let server: Server | undefined

afterEach(() => {
  server?.closeAllConnections()
  server?.close()
})

/** What a client gets of an answer; `cut` when the connection ended before the answer did. */
async function answerOf(reply: OwnReply) {
  server = createServer((_req, res) => void restream(res, reply).catch(() => res.writeHead(500).end()))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return await new Promise<{
    status: number | undefined
    headers: object
    text: string
    end: 'whole' | 'cut'
  }>((resolve, reject) => {
    const sent = request({ port, method: 'POST' }, (res) => {
      let text = ''
      const done = (end: 'whole' | 'cut') => (): void =>
        resolve({ status: res.statusCode, headers: res.headers, text, end })
      res.on('data', (piece: Buffer) => (text += piece.toString()))
      res.on('end', done('whole')).on('error', done('cut'))
    })
    sent.on('error', reject).end('{}')
  })
}

test('a header named like a member of every object is a header like any other', async () => {
  const { headers } = await answerOf({
    status: 200,
    headers: [
      ['constructor', 'a'],
      ['to-string', 'b'],
      ['__proto__', 'c'],
    ],
    body: 'x',
  })
  expect(Object.entries(headers)).toContainEqual(['constructor', 'a'])
  expect(JSON.stringify(headers)).not.toContain('native code')
})

test.each([
  ['longer than it says', { 'content-length': '3' }, 'abcHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'],
  ['shorter than it says', { 'content-length': '30' }, 'abc'],
])(
  'a body that is %s cuts the client off: nothing of it is taken for another answer',
  async (_name, headers, body) => {
    const answer = await answerOf({ status: 200, headers, body }).catch(() => 'reset')
    if (answer !== 'reset') expect(answer).toMatchObject({ end: 'cut' })
  },
)

test('of two lengths the one that the chunks say counts', async () => {
  const headers = { 'transfer-encoding': 'chunked', 'content-length': '3' }
  expect(await answerOf({ status: 200, headers, body: 'abcdef' })).toMatchObject({
    text: 'abcdef',
    end: 'whole',
  })
})
