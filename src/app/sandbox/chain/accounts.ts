import { mnemonicToAccount } from 'viem/accounts'
import { bytesToHex } from 'viem'
import type { Address, Hex } from 'viem'

/**
 * Anvil's published mnemonic. Its keys are public: they are usable only on a chain that exists as long as the
 * sandbox.
 */
export const publishedMnemonic = 'test test test test test test test test test test test junk'

/** A key pair of the local chain. */
export interface LocalAccount {
  readonly address: Address
  readonly privateKey: Hex
}

/** The accounts of the local chain. */
export interface LocalAccounts {
  /** Pays the gas of every settlement. */
  readonly facilitator: LocalAccount
  /** Owns the token: mints, burns, pauses, blacklists. */
  readonly tokenOwner: LocalAccount
  /** Pays for calls; holds tokens and no ether. */
  readonly buyer: LocalAccount
  /** Receives the payments. */
  readonly seller: LocalAccount
}

let derived: LocalAccounts | undefined

/** The sandbox's accounts (BIP-44, `m/44'/60'/0'/0/0` to `/3`), derived once: a mnemonic costs thousands of hashes. */
export function localAccounts(): LocalAccounts {
  derived ??= { facilitator: account(0), tokenOwner: account(1), buyer: account(2), seller: account(3) }
  return derived
}

function account(addressIndex: number): LocalAccount {
  const { address, getHdKey } = mnemonicToAccount(publishedMnemonic, { addressIndex })
  const { privateKey } = getHdKey()
  if (privateKey === null) throw new Error(`no private key at address index ${addressIndex}`)
  return { address, privateKey: bytesToHex(privateKey) }
}
