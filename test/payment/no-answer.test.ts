import { describe, expect, it } from 'vitest'
import { noAnswer } from '../../src/payment/send-unpaid.ts'
import { NoConnectionError, UpstreamError } from '../../src/io/transport/upstream-error.ts'

const request = { method: 'POST', url: 'https://seller.example.com:8443/v1/x', headers: {}, body: undefined }
const system = (code: string): Error => Object.assign(new Error('failed'), { code })

describe('noAnswer', () => {
  it.each([
    ['refused', new UpstreamError('connect', new NoConnectionError(system('ECONNREFUSED'))), 'ECONNREFUSED'],
    ['not found', new UpstreamError('connect', new NoConnectionError(system('ENOTFOUND'))), 'ENOTFOUND'],
    [
      'refused at every address',
      new UpstreamError('connect', new NoConnectionError(new AggregateError([system('EHOSTUNREACH')]))),
      'EHOSTUNREACH',
    ],
    ['reset', new UpstreamError('reset', system('ECONNRESET')), 'ECONNRESET'],
    ['silent', new UpstreamError('timeout', new Error('slow')), undefined],
    ['cut with a code of the HTTP library', new UpstreamError('reset', system('UND_ERR_SOCKET')), undefined],
  ])('names host and system code of a connection that was %s, for the log only', (_case, cause, errno) => {
    const error = noAnswer(request, cause)
    expect(error.details).toMatchObject({ host: 'seller.example.com:8443' })
    expect(error.details['errno']).toBe(errno)
    expect(error.message).not.toContain('seller.example.com')
  })
})
