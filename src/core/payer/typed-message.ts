/**
 * Everything an EVM signer may sign: four kinds of EIP-712 messages, and nothing else (rule 6). What must never vary (contracts,
 * spenders, types) is filled in here and never taken from the request, so that no message with another meaning can be composed.
 */
import { EXACT_PROXY, PERMIT2_ADDRESS, UPTO_PROXY } from '../evm-contracts.ts'

/** A contract's EIP-712 domain. */
export interface TokenDomain {
  readonly name: string
  readonly version: string
  readonly chainId: number
  readonly verifyingContract: string
}

/** The fields of an EIP-3009 authorization in their wire form (decimal strings). */
export interface WireAuthorization {
  readonly from: string
  readonly to: string
  readonly value: string
  readonly validAfter: string
  readonly validBefore: string
  readonly nonce: string
}

/** An EIP-3009 payment. Like all messages here it is plain data that can be posted to another thread or process. */
export interface TypedAuthorization {
  readonly kind: 'eip3009'
  readonly domain: TokenDomain
  readonly message: WireAuthorization
}

/** The content of a Permit2 payment. `from` names the signer and is not part of the signed message. */
export interface Permit2Message {
  readonly from: string
  readonly token: string
  readonly amount: string
  /** Decimal. */
  readonly nonce: string
  /** Unix seconds. */
  readonly deadline: string
  readonly to: string
  readonly validAfter: string
}

/** A Permit2 transfer to one payee through x402's spender contracts. */
export type TypedPermit2 =
  | {
      readonly kind: 'permit2_exact'
      readonly domain: { readonly chainId: number }
      readonly message: Permit2Message
    }
  | {
      readonly kind: 'permit2_upto'
      readonly domain: { readonly chainId: number }
      readonly message: Permit2Message & { readonly facilitator: string }
    }

/** An EIP-2612 allowance; its spender is always Permit2. */
export interface TypedPermit {
  readonly kind: 'eip2612_permit'
  readonly domain: TokenDomain
  readonly message: {
    readonly owner: string
    readonly value: string
    readonly nonce: string
    readonly deadline: string
  }
}

/** The closed set of messages that are signed. */
export type TypedMessage = TypedAuthorization | TypedPermit2 | TypedPermit

interface Field {
  readonly name: string
  readonly type: string
}

/** EIP-712 typed data in the JSON form of wallets and remote signers; numbers are decimal strings. */
export interface Eip712 {
  readonly types: Readonly<Record<string, readonly Field[]>>
  readonly primaryType: string
  readonly domain: Readonly<Record<string, string | number>>
  readonly message: Readonly<Record<string, unknown>>
}

const fields = (text: string): readonly Field[] =>
  text.split(', ').map((field) => {
    const [type = '', name = ''] = field.split(' ')
    return { name, type }
  })

/** EIP-712 type of EIP-3009's `TransferWithAuthorization`. */
export const TRANSFER_WITH_AUTHORIZATION = [
  { name: 'from', type: 'address' },
  { name: 'to', type: 'address' },
  { name: 'value', type: 'uint256' },
  { name: 'validAfter', type: 'uint256' },
  { name: 'validBefore', type: 'uint256' },
  { name: 'nonce', type: 'bytes32' },
] as const

const TOKEN_DOMAIN = fields('string name, string version, uint256 chainId, address verifyingContract')
const PERMIT2_DOMAIN = fields('string name, uint256 chainId, address verifyingContract')
const PERMIT = fields('address owner, address spender, uint256 value, uint256 nonce, uint256 deadline')
const PERMIT_WITNESS_TRANSFER = fields(
  'TokenPermissions permitted, address spender, uint256 nonce, uint256 deadline, Witness witness',
)
const TOKEN_PERMISSIONS = fields('address token, uint256 amount')
const EXACT_WITNESS = fields('address to, uint256 validAfter')
const UPTO_WITNESS = fields('address to, address facilitator, uint256 validAfter')

/** The complete typed data of a message. */
export function toEip712(typed: TypedMessage): Eip712 {
  switch (typed.kind) {
    case 'eip3009':
      return {
        types: { EIP712Domain: TOKEN_DOMAIN, TransferWithAuthorization: TRANSFER_WITH_AUTHORIZATION },
        primaryType: 'TransferWithAuthorization',
        domain: { ...typed.domain },
        message: { ...typed.message },
      }
    case 'eip2612_permit':
      return {
        types: { EIP712Domain: TOKEN_DOMAIN, Permit: PERMIT },
        primaryType: 'Permit',
        domain: { ...typed.domain },
        message: { ...typed.message, spender: PERMIT2_ADDRESS },
      }
    case 'permit2_exact':
    case 'permit2_upto': {
      const { token, amount, nonce, deadline, to, validAfter } = typed.message
      const upto = typed.kind === 'permit2_upto'
      return {
        types: {
          EIP712Domain: PERMIT2_DOMAIN,
          PermitWitnessTransferFrom: PERMIT_WITNESS_TRANSFER,
          TokenPermissions: TOKEN_PERMISSIONS,
          Witness: upto ? UPTO_WITNESS : EXACT_WITNESS,
        },
        primaryType: 'PermitWitnessTransferFrom',
        domain: { name: 'Permit2', chainId: typed.domain.chainId, verifyingContract: PERMIT2_ADDRESS },
        message: {
          permitted: { token, amount },
          spender: upto ? UPTO_PROXY : EXACT_PROXY,
          nonce,
          deadline,
          witness: upto ? { to, facilitator: typed.message.facilitator, validAfter } : { to, validAfter },
        },
      }
    }
    default:
      return typed satisfies never
  }
}

/** The address that must sign a message, in the message's own spelling. */
export function payerOf(typed: TypedMessage): string {
  return typed.kind === 'eip2612_permit' ? typed.message.owner : typed.message.from
}
