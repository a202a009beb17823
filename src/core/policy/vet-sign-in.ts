/**
 * The gate for sign-ins (rule 6): the one place where a seller's challenge becomes a message that may be signed. It must be for
 * this seller, this moment, this wallet and a network of the payer, and nothing in it may look like another line.
 */
import type { SignInMessage } from './sign-in.ts'
import { isRecord } from '../x402/wire-json.ts'

/** How old a challenge may be, and how far ahead its clock, milliseconds. Official sellers refuse older ones too. */
const MAX_AGE_MS = 300_000
const MAX_AHEAD_MS = 60_000

/** The longest time that a sign-in may be good for, milliseconds. */
const MAX_LIFE_MS = 86_400_000

const MAX_RESOURCES = 10

const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/
const NONCE = /^[A-Za-z0-9]{8,128}$/
const LINE = /^[\x20-\x7e]{1,500}$/

const VETTED_KEY = Symbol('only the gate makes sign-ins')

/** A message that passed the gate. Frozen. */
export class VettedSignIn {
  readonly message: SignInMessage
  readonly #vetted = true

  constructor(key: typeof VETTED_KEY, message: SignInMessage) {
    if (key !== VETTED_KEY) throw new TypeError('A sign-in is made by the gate only: call vetSignIn().')
    this.message = Object.freeze({ ...message })
    Object.freeze(this)
  }

  /** Whether a value is a sign-in made by the gate. Payers check this before they sign. */
  static isVetted(value: unknown): value is VettedSignIn {
    return typeof value === 'object' && value !== null && #vetted in value && value.#vetted
  }
}

/** Who would sign in, and where. */
export interface SignInContext {
  /** Where the request goes. */
  readonly url: URL
  /** The wallet: EIP-55 letter case, or base58 for one on Solana. */
  readonly address: string
  /** CAIP-2 ids that the payer may pay on. */
  readonly networks: readonly string[]
  /** Milliseconds since the epoch. */
  readonly now: number
}

/** @returns the message, or what is wrong with the challenge: one word for audit and metrics */
export function vetSignIn(
  extension: unknown,
  context: SignInContext,
): VettedSignIn | { readonly fault: string } {
  const { url, address, networks, now } = context
  const info = isRecord(extension) ? extension['info'] : undefined
  if (!isRecord(extension) || !isRecord(info)) return { fault: 'unreadable' }
  const { domain, uri, version, nonce, statement, requestId, resources } = info
  if (domain !== url.host) return { fault: 'domain' }
  if (typeof uri !== 'string' || !LINE.test(uri) || originOf(uri) !== url.origin) return { fault: 'uri' }
  if (version !== '1') return { fault: 'version' }
  if (typeof nonce !== 'string' || !NONCE.test(nonce)) return { fault: 'nonce' }
  const issuedAt = timeOf(info['issuedAt'])
  if (!issuedAt || issuedAt.at < now - MAX_AGE_MS || issuedAt.at > now + MAX_AHEAD_MS)
    return { fault: 'issued_at' }
  const expires = info['expirationTime'] === undefined ? undefined : timeOf(info['expirationTime'])
  if (expires === null || (expires && (expires.at <= now || expires.at > now + MAX_LIFE_MS)))
    return { fault: 'expiry' }
  const notBefore = info['notBefore'] === undefined ? undefined : timeOf(info['notBefore'])
  if (notBefore === null || (notBefore && notBefore.at > now)) return { fault: 'not_before' }
  if (statement !== undefined && !isLine(statement)) return { fault: 'statement' }
  if (requestId !== undefined && !isLine(requestId)) return { fault: 'request_id' }
  if (resources !== undefined && !areLines(resources)) return { fault: 'resources' }
  const kind = address.startsWith('0x') ? EVM : SOLANA
  const network = networkOf(extension['supportedChains'], kind, networks)
  if (network === undefined) return { fault: 'chain' }
  const message: SignInMessage = {
    domain: url.host,
    address,
    ...(statement === undefined ? {} : { statement }),
    uri,
    version: '1',
    network,
    nonce,
    issuedAt: issuedAt.text,
    ...(expires ? { expirationTime: expires.text } : {}),
    ...(notBefore ? { notBefore: notBefore.text } : {}),
    ...(requestId === undefined ? {} : { requestId }),
    // Official packages word an empty list in two ways.
    ...(resources === undefined || resources.length === 0 ? {} : { resources }),
  }
  return new VettedSignIn(VETTED_KEY, message)
}

/** What a plain wallet of one kind signs in with. */
interface WalletKind {
  readonly prefix: string
  readonly type: string
  readonly scheme: string
}

const EVM: WalletKind = { prefix: 'eip155:', type: 'eip191', scheme: 'eip191' }
const SOLANA: WalletKind = { prefix: 'solana:', type: 'ed25519', scheme: 'siws' }

/** The first of the seller's chains that the payer pays on and that takes a signature of such a wallet. */
function networkOf(
  chains: unknown,
  { prefix, type, scheme }: WalletKind,
  networks: readonly string[],
): string | undefined {
  if (!Array.isArray(chains)) return undefined
  const ids = chains.flatMap((chain: unknown) => {
    if (!isRecord(chain) || chain['type'] !== type || typeof chain['chainId'] !== 'string') return []
    const hint = chain['signatureScheme']
    return hint === undefined || hint === scheme ? [chain['chainId']] : []
  })
  return ids.find((id) => id.startsWith(prefix) && networks.includes(id))
}

/** How a message of this network is signed, as the seller is told. */
export function signatureOf(network: string): { readonly type: string; readonly signatureScheme: string } {
  const { type, scheme } = network.startsWith(SOLANA.prefix) ? SOLANA : EVM
  return { type, signatureScheme: scheme }
}

function originOf(text: string): string | undefined {
  return URL.canParse(text) ? new URL(text).origin : undefined
}

function timeOf(value: unknown): { readonly text: string; readonly at: number } | null {
  if (typeof value !== 'string' || !TIME.test(value)) return null
  const at = Date.parse(value)
  return Number.isNaN(at) ? null : { text: value, at }
}

function isLine(value: unknown): value is string {
  return typeof value === 'string' && LINE.test(value)
}

function areLines(value: unknown): value is string[] {
  return (
    Array.isArray(value) &&
    value.length <= MAX_RESOURCES &&
    value.every((one) => isLine(one) && !one.includes(' ') && URL.canParse(one))
  )
}
