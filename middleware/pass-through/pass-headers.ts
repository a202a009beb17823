/** Header changes of a forwarded request and its answer; all other headers pass unchanged. */
import type { IncomingMessage } from 'node:http'
import type { Exchange } from '../../src/core/request/exchange.ts'
import { CREDENTIAL_HEADERS } from '../../src/core/request/credentials.ts'

/** OpenAI's way to send a key from a browser: as a websocket subprotocol. */
const KEY_PROTOCOL = /^openai-insecure-api-key\./i

/**
 * @param ours whether the client's credentials were meant for this gateway and must not be forwarded
 * @param apiKey our key for the upstream
 */
export function cleanRequest(req: IncomingMessage, ours: boolean, apiKey: string | undefined): void {
  const { headers } = req
  // Meant for this hop: Node has answered the expectation, and the connection to the upstream is a separate one.
  for (const name of ['expect', 'proxy-authorization', 'proxy-connection', 'keep-alive', 'te'])
    delete headers[name]
  if (headers.upgrade?.toLowerCase() !== 'websocket') {
    delete headers.upgrade
    delete headers.connection
  }
  if (ours) {
    for (const name of CREDENTIAL_HEADERS) delete headers[name]
    const protocols = headers['sec-websocket-protocol']
    if (protocols !== undefined) {
      const kept = protocols.split(',').filter((protocol) => !KEY_PROTOCOL.test(protocol.trim()))
      headers['sec-websocket-protocol'] = kept.map((protocol) => protocol.trim()).join(', ')
    }
  }
  if (apiKey !== undefined) headers.authorization = `Bearer ${apiKey}`
}

/**
 * Keeps the upstream from sending headers that only Tollway may set. Runs inside the proxy's events, so it must
 * not throw.
 */
export function cleanResponse(answer: IncomingMessage, exchange: Exchange, ours: boolean): void {
  const { headers } = answer
  const theirs = headers['x-request-id']
  if (typeof theirs === 'string') exchange.record.details['upstreamRequestId'] = theirs
  for (const name of Object.keys(headers)) if (name.startsWith('x-tollway-')) delete headers[name]
  delete headers['x-request-id']
  delete headers.connection
  delete headers['keep-alive']
  // A cookie set for our key would give a caller our session.
  if (ours) delete headers['set-cookie']
}
