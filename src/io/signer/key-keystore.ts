/** Opens an encrypted keystore (Web3 Secret Storage, version 3). Runs in the signer's worker only (rule 8). */
import { Wallet } from '@ethereumjs/wallet'
import type { PrivateKeyAccount } from 'viem/accounts'
import { readKeyFile } from './key-file.ts'
import { accountOf, KeyFault } from './private-key.ts'

/** A keystore is half a kilobyte; wallets add a few fields. */
const MAX_BYTES = 16_384

/**
 * @param path the keystore file, mode 0600 or 0400: the encryption is only as strong as the password
 * @throws KeyFault
 */
export async function openKeystore(path: string, password: string): Promise<PrivateKeyAccount> {
  const key = await decryptKeystore(path, password)
  return accountOf(`0x${Buffer.from(key).toString('hex')}`, `keystore ${path}`)
}

/**
 * The 32 bytes that a keystore holds: an EVM key, or the seed of an ed25519 key.
 * @param path as for {@link openKeystore}
 * @throws KeyFault
 */
export async function decryptKeystore(path: string, password: string): Promise<Uint8Array> {
  const text = readKeyFile(path, { what: 'keystore', maxBytes: MAX_BYTES })
  if (!/"version"\s*:\s*3\b/.test(text)) {
    throw new KeyFault(
      `${path} is not a version 3 keystore (JSON with "version": 3). Export the key with geth, cast or ethers.`,
    )
  }
  try {
    const wallet = await Wallet.fromV3(text, password, true)
    return wallet.getPrivateKey()
  } catch {
    // The library's message may quote its input.
    throw new KeyFault(
      `The keystore ${path} cannot be opened: its password is wrong, or the file is damaged. Check the password reference first.`,
    )
  }
}
