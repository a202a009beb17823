/** Makes a wallet: a new key, encrypted at once (Web3 Secret Storage, version 3). Used by a command that then ends. */
import { Wallet } from '@ethereumjs/wallet'

/** A new wallet. The key itself is in nothing but the encrypted text. */
export interface NewKeystore {
  /** JSON of the keystore. */
  readonly text: string
  /** Lower-case address with 0x. */
  readonly address: string
}

/**
 * @param password what the keystore will be opened with
 * @param cost scrypt's N; less only in tests
 */
export async function newKeystore(password: string, cost = 262_144): Promise<NewKeystore> {
  const wallet = Wallet.generate()
  const text = await wallet.toV3String(password, { n: cost })
  return { text, address: wallet.getAddressString() }
}

/** The address in a keystore, as its file tells it; `undefined` if it does not. */
export function keystoreAddress(text: string): string | undefined {
  const address = /"address"\s*:\s*"(?:0x)?([0-9a-fA-F]{40})"/.exec(text)?.[1]
  return address === undefined ? undefined : `0x${address.toLowerCase()}`
}
