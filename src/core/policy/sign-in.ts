/** The message by which a wallet signs in at a seller (CAIP-122). It moves no money and allows none. */

/** The fields of a message. */
export interface SignInMessage {
  /** Host and port of the seller. */
  readonly domain: string
  /** EIP-55 letter case, or base58 on Solana. */
  readonly address: string
  readonly statement?: string | undefined
  readonly uri: string
  readonly version: '1'
  /** CAIP-2: `eip155:…` or `solana:…`. It decides how the message is worded. */
  readonly network: string
  readonly nonce: string
  /** ISO 8601, as the other times. */
  readonly issuedAt: string
  readonly expirationTime?: string | undefined
  readonly notBefore?: string | undefined
  readonly requestId?: string | undefined
  readonly resources?: readonly string[] | undefined
}

/**
 * The text that is signed, as EIP-4361 (`eip155`) or the official x402 package (`solana`) words it. Its first line keeps it from
 * being read as anything else: as a transaction of Solana it would need at least 33 signers, more than fit into one.
 */
export function signInText(message: SignInMessage): string {
  const { domain, address, statement, network, expirationTime, notBefore, requestId, resources } = message
  const isSolana = network.startsWith('solana:')
  const stated = statement === undefined ? [] : [statement]
  return [
    `${domain} wants you to sign in with your ${isSolana ? 'Solana' : 'Ethereum'} account:`,
    address,
    '',
    ...stated,
    // EIP-4361 keeps the place of a statement that is absent.
    ...(isSolana && statement === undefined ? [] : ['']),
    `URI: ${message.uri}`,
    `Version: ${message.version}`,
    `Chain ID: ${network.slice(network.indexOf(':') + 1)}`,
    `Nonce: ${message.nonce}`,
    `Issued At: ${message.issuedAt}`,
    ...(expirationTime === undefined ? [] : [`Expiration Time: ${expirationTime}`]),
    ...(notBefore === undefined ? [] : [`Not Before: ${notBefore}`]),
    ...(requestId === undefined ? [] : [`Request ID: ${requestId}`]),
    ...(resources === undefined ? [] : ['Resources:', ...resources.map((resource) => `- ${resource}`)]),
  ].join('\n')
}
