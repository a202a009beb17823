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
  address: Address
  privateKey: Hex
}

/** The accounts of the local chain. */
export interface LocalAccounts {
  /** Pays the gas of every settlement. */
  facilitator: LocalAccount
  /** Owns the token: mints, burns, pauses, blacklists. */
  tokenOwner: LocalAccount
  /** Pays for calls; holds tokens and no ether. */
  buyer: LocalAccount
  /** Receives the payments. */
  seller: LocalAccount
}

/** Derives the sandbox's accounts (BIP-44, `m/44'/60'/0'/0/0` to `/3`). */
export function localAccounts(): LocalAccounts {
  return { facilitator: account(0), tokenOwner: account(1), buyer: account(2), seller: account(3) }
}

function account(addressIndex: number): LocalAccount {
  const derived = mnemonicToAccount(publishedMnemonic, { addressIndex })
  const { privateKey } = derived.getHdKey()
  if (privateKey === null) throw new Error(`no private key at address index ${addressIndex}`)
  return { address: derived.address, privateKey: bytesToHex(privateKey) }
}
