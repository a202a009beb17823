import { TollwayError } from '../../../core/errors.ts'

const MEANINGS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there: check the address and the port, and whether the program runs',
  ENOTFOUND: 'there is no such name: check its spelling',
  EAI_AGAIN: 'its name could not be looked up: check the network of this machine',
  ETIMEDOUT: 'nothing answers there: check the address, and firewalls and proxies on the way',
  EHOSTUNREACH: 'there is no way to it from here: check the network of this machine',
  ENETUNREACH: 'there is no way to it from here: check the network of this machine',
  ECONNRESET: 'it closed the connection: check that the address speaks HTTP or HTTPS as written',
}

/**
 * An error's message for the person who typed the address: with the host and what kept the connection from being made, which
 * clients of a gateway are not told.
 */
export function errorText(error: Error): string {
  if (!(error instanceof TollwayError)) return error.message
  const said = sellerText(error)
  const { host, errno } = error.details
  if (typeof host !== 'string' || typeof errno !== 'string') return `${error.message}${said}`
  const meaning = MEANINGS[errno]
  return `${error.message} ${host}: ${meaning === undefined ? errno : `${meaning} (${errno})`}.${said}`
}

/** The seller's own words, on a line of their own. */
function sellerText({ seller }: TollwayError): string {
  const words = [seller?.code, seller?.message].filter((text) => typeof text === 'string' && text !== '')
  if (!seller || words.length === 0) return ''
  return `\nThe seller answered (status ${seller.status}): ${[...new Set(words)].join(': ')}`
}
