/** The method in a seller's description of its service, wherever it stands. */
import { expect, it } from 'vitest'
import { describedMethod } from '../../src/core/x402/described-method.ts'
import { decodeChallenge } from '../../src/core/x402/x402.ts'
import { offerV2 } from '../kit/quotes.ts'

function described(version: 1 | 2, more: object, offer: object = {}): string | undefined {
  const body = Buffer.from(
    JSON.stringify({ x402Version: version, accepts: [{ ...offerV2, ...offer }], ...more }),
  )
  return describedMethod(decodeChallenge({ header: () => undefined, body, truncated: false }))
}

it.each<[string, string | undefined, 1 | 2, object, object?]>([
  ['the bazaar extension', 'POST', 2, { extensions: { bazaar: { info: { input: { method: 'POST' } } } } }],
  ['the bazaar extension without info', 'PUT', 2, { extensions: { bazaar: { input: { method: 'put' } } } }],
  [
    'the only method of its schema',
    'PATCH',
    2,
    {
      extensions: {
        bazaar: {
          info: { input: { type: 'http' } },
          schema: { properties: { input: { properties: { method: { type: 'string', enum: ['PATCH'] } } } } },
        },
      },
    },
  ],
  [
    'a body, where the schema allows several',
    'POST',
    2,
    {
      extensions: {
        bazaar: {
          info: { input: { type: 'http', bodyType: 'json', body: {} } },
          schema: { properties: { input: { properties: { method: { enum: ['POST', 'PUT'] } } } } },
        },
      },
    },
  ],
  [
    'a query',
    'GET',
    2,
    { extensions: { bazaar: { info: { input: { type: 'http', queryParams: { city: 'Athens' } } } } } },
  ],
  ['outputSchema of an offer', 'POST', 1, {}, { outputSchema: { input: { type: 'http', method: 'post' } } }],
  ['outputSchema with the fields of a body', 'POST', 1, {}, { outputSchema: { input: { bodyFields: {} } } }],
  ['extra.outputSchema', 'DELETE', 2, {}, { extra: { outputSchema: { input: { method: 'DELETE' } } } }],
  ['input of an offer', 'POST', 2, {}, { input: { httpMethod: 'POST' } }],
  ['the resource', 'POST', 2, { resource: { url: 'https://seller.test/', method: 'POST' } }],
  ['nothing', undefined, 2, {}],
  ['a method of another kind', undefined, 2, {}, { extra: { method: 'transferWithAuthorization' } }],
  ['junk', undefined, 2, { extensions: { bazaar: { info: { input: { method: ['GET', 'POST'] } } } } }],
  ['an object', undefined, 2, { extensions: { bazaar: { info: { input: { method: { a: 1 } } } } } }],
])('%s says %s', (_where, method, version, more, offer) => {
  expect(described(version, more, offer)).toBe(method)
})
