import type { Server } from 'node:http'
import { ConfigError } from '../../core/errors.ts'
import type { ListenAddress } from '../config/values/addresses.ts'

/**
 * Starts a server at an address; resolves to its base URL.
 * @throws ConfigError when the address is taken or may not be used
 */
export async function bind(server: Server, { host, port }: ListenAddress, keys: string): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => reject(cannotListen(error, `${host}:${port}`, keys))
    server.once('error', fail)
    server.listen(port, host.replace(/^\[|\]$/g, ''), () => {
      server.off('error', fail)
      resolve()
    })
  })
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('the listener has no address')
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `http://${name}:${address.port}`
}

function cannotListen(error: NodeJS.ErrnoException, address: string, keys: string): Error {
  const advice = `choose another address with ${keys}.`
  if (error.code === 'EADDRINUSE') {
    return new ConfigError(`${address} is taken by another program. Stop it, or ${advice}`, { cause: error })
  }
  if (error.code === 'EACCES' || error.code === 'EADDRNOTAVAIL') {
    return new ConfigError(`${address} cannot be listened on (${error.code}): ${advice}`, { cause: error })
  }
  return error
}
