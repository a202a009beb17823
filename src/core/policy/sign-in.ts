/** The message by which a wallet signs in at a seller (CAIP-122, spelled as in EIP-4361). It moves no money and allows none. */

/** The fields of a message. `address` in EIP-55 letter case. */
export interface SignInMessage {
  /** Host and port of the seller. */
  readonly domain: string
  readonly address: string
  readonly statement?: string | undefined
  readonly uri: string
  readonly version: '1'
  readonly chainId: number
  readonly nonce: string
  /** ISO 8601, as the other times. */
  readonly issuedAt: string
  readonly expirationTime?: string | undefined
  readonly notBefore?: string | undefined
  readonly requestId?: string | undefined
  readonly resources?: readonly string[] | undefined
}

/** The text that is signed. Its first line keeps it from being read as anything else. */
export function signInText(message: SignInMessage): string {
  const { domain, address, statement, expirationTime, notBefore, requestId, resources } = message
  return [
    `${domain} wants you to sign in with your Ethereum account:`,
    address,
    '',
    ...(statement === undefined ? [] : [statement]),
    '',
    `URI: ${message.uri}`,
    `Version: ${message.version}`,
    `Chain ID: ${message.chainId}`,
    `Nonce: ${message.nonce}`,
    `Issued At: ${message.issuedAt}`,
    ...(expirationTime === undefined ? [] : [`Expiration Time: ${expirationTime}`]),
    ...(notBefore === undefined ? [] : [`Not Before: ${notBefore}`]),
    ...(requestId === undefined ? [] : [`Request ID: ${requestId}`]),
    ...(resources === undefined ? [] : ['Resources:', ...resources.map((resource) => `- ${resource}`)]),
  ].join('\n')
}
