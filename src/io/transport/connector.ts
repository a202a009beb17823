/** Opens connections with undici's connectors. */
import type { Socket } from 'node:net'
import type { buildConnector } from 'undici'
import { withoutInterimResponses } from './interim-responses.ts'
import { NoConnectionError } from './upstream-error.ts'

/** Says of every failure of a connector that there was no connection, and takes interim responses out of what is read. */
export function telling(connect: buildConnector.connector): buildConnector.connector {
  return (target, callback) =>
    connect(target, (...[error, socket]) => {
      if (error) callback(new NoConnectionError(error), null)
      else callback(null, withoutInterimResponses(socket))
    })
}

/** @throws NoConnectionError, from a connector that {@link telling} made */
export function connectTo(connect: buildConnector.connector, origin: string): Promise<Socket> {
  const { protocol, host, hostname, port } = new URL(origin)
  return new Promise((resolve, reject) => {
    // An IPv6 address stands in brackets in a URL, and without them everywhere else.
    const target = { protocol, host, port, hostname: hostname.replace(/^\[(.*)\]$/, '$1') }
    connect(target, (...[error, socket]) => (error ? reject(error) : resolve(socket)))
  })
}
