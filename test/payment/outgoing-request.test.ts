/** The bytes that go to a seller: the client's, but for what the route must change. */
import { describe, expect, it } from 'vitest'
import { newExchange } from '../../src/core/request/exchange.ts'
import { outgoingRequest } from '../../src/payment/outgoing-request.ts'
import { candidateAt } from '../kit/payment-engine.ts'

/** What a paid seller gets of a streamed chat request with this body. */
function streamed(body: string, type: string, remoteModel = 'm'): string | undefined {
  const exchange = newExchange({ id: 'req_1', startedAt: 0, begunAt: 0 })
  exchange.endpoint = '/chat/completions'
  exchange.request.body = Buffer.from(body)
  exchange.request.model = 'm'
  exchange.request.stream = true
  const req = { url: '/v1/chat/completions', headers: { 'content-type': type } }
  return outgoingRequest(req, exchange, { ...candidateAt('seller.test'), remoteModel }).body?.toString()
}

describe('the body of a paid stream', () => {
  it('asks for the usage chunk, and keeps every other byte', () => {
    expect(streamed('{ "model":"m", "n":1e2 }', 'application/json')).toBe(
      '{ "model":"m", "n":1e2,"stream_options":{"include_usage":true} }',
    )
  })

  it('is renamed and asks for the usage chunk at once', () => {
    expect(streamed('{"model":"m","stream":true}', 'application/json', 'long-name')).toBe(
      '{"model":"long-name","stream":true,"stream_options":{"include_usage":true}}',
    )
  })

  it('stays as it is when it is a form, whatever braces are in it', () => {
    const form = '--X\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n--X--\r\n{}'
    expect(streamed(form, 'multipart/form-data; boundary=X')).toBe(form)
  })
})
