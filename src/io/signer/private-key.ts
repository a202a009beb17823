/** Turns a text into a signing account. Runs in the signer's worker only (rule 8). */
import { privateKeyToAccount, type PrivateKeyAccount } from 'viem/accounts'

/** Why no key could be loaded, in words that hold nothing of it. */
export class KeyFault extends Error {
  override readonly name = 'KeyFault'
}

const KEY = /^0x[0-9a-fA-F]{64}$/

/**
 * @param text `0x` and 64 hex digits; one line end behind them is allowed
 * @param place where it came from, for the message, e.g. `environment variable WALLET_KEY`
 * @throws KeyFault
 */
export function accountOf(text: string, place: string): PrivateKeyAccount {
  const key = text.replace(/\r?\n$/, '')
  if (!isKey(key)) {
    throw new KeyFault(
      `The ${place} does not hold a private key. It holds 0x and 64 hex digits, nothing else.`,
    )
  }
  try {
    return privateKeyToAccount(key)
  } catch {
    // The library's error may quote what it was given.
    throw new KeyFault(
      `The ${place} holds a number that is no secp256k1 key (zero, or the group order or more). Use another key.`,
    )
  }
}

function isKey(text: string): text is `0x${string}` {
  return KEY.test(text)
}
