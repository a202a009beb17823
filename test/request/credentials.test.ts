import { describe, expect, it } from 'vitest'
import { CREDENTIAL_HEADERS } from '../../src/core/request/credentials.ts'
import { exchangeOf } from '../../middleware/http/exchange-of.ts'
import { outgoingRequest } from '../../src/payment/outgoing-request.ts'
import { cleanRequest } from '../../middleware/pass-through/pass-headers.ts'
import type { Request } from '../../middleware/http/handler.ts'
import type { Route } from '../../src/core/routing/route.ts'
import { untyped } from '../middleware/harness.ts'

const SECRET = 'caller-secret'

function carrying(name: string): Request {
  return untyped({
    method: 'POST',
    url: '/v1/chat/completions',
    headers: { [name]: SECRET, 'x-kept': 'yes' },
  })
}

const route: Route = {
  modelName: 'm',
  model: undefined,
  apiBase: 'http://127.0.0.1:1/v1',
  payer: undefined,
  apiKey: undefined,
  order: 0,
}

function sent(name: string, more: Partial<Route>): unknown {
  const req = carrying(name)
  return outgoingRequest(req, exchangeOf(req), { route: { ...route, ...more }, remoteModel: 'm' }).headers
}

describe.each(CREDENTIAL_HEADERS)('a credential of the client in %s', (name) => {
  it('goes to no keyed upstream, none that it was not meant for, and no seller', () => {
    for (const more of [{ apiKey: 'sk-ours', forwardCredentials: true }, {}, { payer: 'base' }]) {
      expect(JSON.stringify(sent(name, more))).not.toContain(SECRET)
    }
    expect(sent(name, {})).toMatchObject({ 'x-kept': 'yes' })
  })

  it('goes no further on a path that is passed on', () => {
    const req = carrying(name)
    cleanRequest(untyped(req), true, undefined)
    expect(req.headers).toEqual({ 'x-kept': 'yes' })
  })
})

describe('the list of credential headers', () => {
  it('has every way clients send a key, once for all parts', () => {
    expect(CREDENTIAL_HEADERS).toEqual(
      expect.arrayContaining(['authorization', 'x-api-key', 'api-key', 'cookie', 'proxy-authorization']),
    )
    expect(sent('api-key', { forwardCredentials: true })).toMatchObject({ 'api-key': SECRET })
  })
})
