/**
 * Connections to the public internet only. The check is part of the lookup that the connection itself uses, so a name cannot
 * point elsewhere between check and connection (DNS rebinding).
 */
import { lookup as systemLookup, type LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { buildConnector } from 'undici'
import { isPublicAddress } from './public-address.ts'

/** A host is, or resolves to, a non-public address. */
export class PrivateAddressError extends Error {
  override readonly name = 'PrivateAddressError'
  readonly host: string
  readonly address: string

  constructor(host: string, address: string) {
    super(`${host} is at ${address}, which is not on the public internet`)
    this.host = host
    this.address = address
  }
}

/** Finds all addresses of a name. */
export type LookupAll = (
  host: string,
  done: (error: Error | null, addresses: readonly LookupAddress[]) => void,
) => void

/** The system's resolver. */
const lookupAll: LookupAll = (host, done) => systemLookup(host, { all: true }, done)

/**
 * A connector for undici that connects to public addresses only.
 * @param options as for undici's `buildConnector`
 * @param lookup replaced in tests
 */
export function publicConnector(
  options: buildConnector.BuildOptions,
  lookup: LookupAll = lookupAll,
): buildConnector.connector {
  const connect = buildConnector({ ...options, lookup: publicOnly(lookup) })
  return (target, callback) => {
    const { hostname } = target
    // Literal addresses are not looked up.
    if (isIP(hostname) !== 0 && !isPublicAddress(hostname)) {
      queueMicrotask(() => callback(new PrivateAddressError(hostname, hostname), null))
      return
    }
    connect(target, callback)
  }
}

/** A single non-public address refuses the name: a seller has no reason to have both kinds. */
function publicOnly(lookup: LookupAll): LookupFunction {
  return (host, options, callback) => {
    lookup(host, (error, addresses) => {
      const first = addresses[0]
      const hidden = addresses.find(({ address }) => !isPublicAddress(address))
      if (error) callback(error, '')
      else if (hidden) callback(new PrivateAddressError(host, hidden.address), '')
      else if (!first) callback(new Error(`${host} has no address`), '')
      else if (options.all === true) callback(null, [...addresses])
      else callback(null, first.address, first.family)
    })
  }
}
