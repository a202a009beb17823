/** Networks, and addresses on them, in a configuration. */
import { isAddress } from 'viem/utils'
import { z } from 'zod'
import { isSolanaNetwork } from '../../../core/money/address.ts'
import {
  evmNetworkNames,
  findEvmNetwork,
  findNetwork,
  networkNames,
  solanaNetworkNames,
} from '../../../core/money/assets.ts'
import { isSolanaAddress } from '../../../core/solana/address.ts'
import { ANY_PAYEE, type AllowedPayees } from '../../../core/policy/payees.ts'
import { forbiddenPayee } from '../../../core/policy/forbidden-payee.ts'
import { unknownValue } from '../../../io/names/nearest-name.ts'
import { reading } from './scalar-fields.ts'

/** CAIP-2 id from an alias or a CAIP-2 id. */
export const network = () =>
  reading(
    (text) => findNetwork(text)?.id,
    (text) => unknownValue('network', text, networkNames()),
  )

/** CAIP-2 id of an EVM network. */
export const evmNetwork = () =>
  reading(
    (text) => findEvmNetwork(text)?.id,
    (text) =>
      findNetwork(text)
        ? 'is a Solana network. A payer of kind solana pays there.'
        : unknownValue('network', text, evmNetworkNames()),
  )

/** CAIP-2 id of a Solana network. */
export const solanaNetwork = () =>
  reading(
    (text) => {
      const id = findNetwork(text)?.id
      return id !== undefined && isSolanaNetwork(id) ? id : undefined
    },
    (text) =>
      findNetwork(text)
        ? 'is no Solana network. A payer of kind direct pays there.'
        : unknownValue('network', text, solanaNetworkNames()),
  )

/** An EVM address in lower case, or a Solana address as written. */
export const anyAddress = () => reading(readAddress, ADDRESS_FAULT)

function readAddress(text: string): string | undefined {
  if (isSolanaAddress(text)) return text
  return isAddress(text, { strict: true }) ? text.toLowerCase() : undefined
}

const ADDRESS_FAULT =
  'must be an address of 0x and 40 hex digits with a right checksum (EIP-55), or all in lower case; on Solana 32 bytes in base58. Copy it again.'

/** An address that may be paid, where the money would not be lost, or `any`. */
const payee = () =>
  reading((text) => (text === ANY_PAYEE ? text : readAddress(text)), ADDRESS_FAULT).superRefine(
    (text, context) => {
      const forbidden = forbiddenPayee(text, [], undefined)
      if (forbidden === undefined) return
      context.addIssue({
        code: 'custom',
        message: `is ${forbidden}: money sent there is lost. Name the seller's address.`,
      })
    },
  )

/** The payees of a route: addresses only. */
export const pinnedPayees = () =>
  z
    .array(payee().refine((text) => text !== ANY_PAYEE, 'must be an address; leave pay_to out to allow any'))
    .min(1)

/** The payees of a seller: addresses, or `any`. */
export const payees = () =>
  z
    .preprocess(
      (value) => (value === ANY_PAYEE ? [ANY_PAYEE] : value),
      z
        .array(payee())
        .min(1)
        .refine((list) => list.length === 1 || !list.includes(ANY_PAYEE), {
          message: 'lists any together with addresses. Keep one of the two.',
        }),
    )
    .transform((list): AllowedPayees => (list.includes(ANY_PAYEE) ? ANY_PAYEE : list))

/** An EVM address in lower case. A mixed-case one must have a correct EIP-55 checksum, so that a typo is noticed. */
export const address = () =>
  reading(
    (text) => (isAddress(text, { strict: true }) ? text.toLowerCase() : undefined),
    'must be an address of 0x and 40 hex digits with a right checksum (EIP-55), or all in lower case. Copy it again.',
  )
