/** Reads the arguments of `tollway sellers`. */
import { ConfigError } from '../../core/errors.ts'
import { EVM_ADDRESS } from '../../core/evm.ts'
import { findNetwork, networkNames, type Asset } from '../../core/money/assets.ts'
import { formatUnits } from '../../core/money/money.ts'
import { forbiddenPayee } from '../../core/policy/forbidden-payee.ts'
import { isSolanaAddress } from '../../core/solana/address.ts'
import { unknownName } from '../../io/names/nearest-name.ts'
import { parseApiBase } from '../config/values/addresses.ts'

const PRICE = /^(0|[1-9]\d{0,14})(?:\.(\d{1,36}))?$/

/** The api_base, normalised. @throws ConfigError */
export function readApiBase(text: string): string {
  const parsed = parseApiBase(text)
  if ('fault' in parsed) throw new ConfigError(`"${text}" ${parsed.fault}`)
  return parsed.apiBase
}

/** The CAIP-2 id of a network. @throws ConfigError */
export function readNetwork(text: string): string {
  const network = findNetwork(text)
  if (network) return network.id
  throw new ConfigError(unknownName('network', text, networkNames()))
}

/** A payee's address that may be paid. @throws ConfigError */
export function readPayee(text: string, assets: readonly Asset[]): string {
  const payTo = EVM_ADDRESS.test(text) ? text.toLowerCase() : text
  if (!EVM_ADDRESS.test(text) && !isSolanaAddress(text)) {
    throw new ConfigError(
      `"${text}" is not an address: 0x and 40 hex digits, or on Solana 32 bytes in base58.`,
    )
  }
  const forbidden = forbiddenPayee(
    payTo,
    assets.map(({ address }) => address),
    undefined,
  )
  if (forbidden === undefined) return payTo
  throw new ConfigError(`${payTo} is ${forbidden}: money sent there is lost. Name the seller's address.`)
}

/** A price above zero in smallest units. @throws ConfigError */
export function readPrice(text: string, decimals: number, symbol: string): bigint {
  const match = PRICE.exec(text)
  const fraction = match?.[2] ?? ''
  const amount = BigInt(`${match?.[1] ?? '0'}${fraction.padEnd(decimals, '0')}`)
  if (match && fraction.length <= decimals && amount > 0n) return amount
  throw new ConfigError(
    `"${text}" is not a price in ${symbol}: a decimal number above zero with at most ${decimals} decimals, such as ${formatUnits(25n * 10n ** BigInt(Math.max(0, decimals - 4)), decimals)}.`,
  )
}
