import type { Server } from 'node:http'
import { ConfigError } from '../../core/errors.ts'
import type { ListenAddress } from '../config/values/addresses.ts'
import { takenBy } from './port-holder.ts'

/** Where the address of the gateway is set, and that of its metrics, for advice. */
export const LISTEN_KEYS = 'listen in the configuration or --listen on the command line'
export const METRICS_KEYS = 'metrics.listen in the configuration'

/**
 * Starts a server at an address; resolves to its base URL.
 * @throws ConfigError when the address is taken or cannot be used
 */
export async function bind(server: Server, { host, port }: ListenAddress, keys: string): Promise<string> {
  const refused = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    server.once('error', resolve)
    server.listen(port, host.replace(/^\[|\]$/g, ''), () => {
      server.off('error', resolve)
      resolve(undefined)
    })
  })
  if (refused) throw await explainListenError(refused, { host, port }, keys)
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('the listener has no address')
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `http://${name}:${address.port}`
}

const REASONS: Readonly<Record<string, (host: string) => string>> = {
  EACCES: () => 'ports below 1024 are for the administrator',
  EADDRNOTAVAIL: () => 'this machine has no such address',
  EAFNOSUPPORT: () => 'this machine has no such address',
  ENOTFOUND: (host) => `no address is known for ${host}`,
  EAI_AGAIN: (host) => `no address is known for ${host}`,
}

/** Why a server cannot listen at an address, and what to do. @param keys where the address is set */
export async function explainListenError(
  error: NodeJS.ErrnoException,
  listen: ListenAddress,
  keys: string,
): Promise<Error> {
  if (error.code === 'EADDRINUSE') return new ConfigError(await takenBy(listen, keys), { cause: error })
  const reason = REASONS[error.code ?? '']?.(listen.host)
  if (reason === undefined) return error
  return new ConfigError(
    `${listen.host}:${listen.port} cannot be listened on: ${reason}. Choose another address with ${keys}.`,
    { cause: error },
  )
}
