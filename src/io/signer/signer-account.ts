/**
 * A signer of the program's own: a viem account, or a function that asks a KMS, a hardware wallet or a custody service. It
 * is asked only for the closed set of payment messages, and its answer is used only after it was verified as a signature of
 * that message by its address.
 */
import { recoverAddress, type Hex } from 'viem'
import { TollwayError } from '../../core/errors.ts'
import { payerOf, toEip712, type Eip712, type TypedMessage } from '../../core/payer/typed-message.ts'
import { normalizeSignature } from './normalize-signature.ts'
import type { Signer } from './signer.ts'
import { TypedDigest } from './typed-digest.ts'

/** Something that signs EIP-712 typed data: every viem account fits. */
export interface SigningAccount {
  /** The paying address: one with a key of its own (EOA). */
  readonly address: string
  /** @returns the 65 bytes of an ECDSA signature, `0x` hex */
  signTypedData(typed: Eip712): Promise<string>
}

/**
 * Wraps an account as a signer.
 * @param timeoutMs longest wait for one signature; a person may have to press a button
 */
export function accountSigner(account: SigningAccount, timeoutMs: number): Signer {
  const address = account.address.toLowerCase()
  const digest = new TypedDigest()
  const closing = new AbortController()

  async function sign(typed: TypedMessage, signal: AbortSignal): Promise<Hex> {
    signal.throwIfAborted()
    if (closing.signal.aborted) throw unavailable('is closed')
    if (payerOf(typed).toLowerCase() !== address) throw unavailable('does not sign for this address')
    const timeout = AbortSignal.timeout(timeoutMs)
    const ending = AbortSignal.any([signal, timeout, closing.signal])
    const answer = await Promise.race([ask(account, typed), aborted(ending)])
    if (answer === undefined) {
      if (signal.aborted) throw signal.reason
      throw unavailable(timeout.aborted ? `did not answer within ${timeoutMs} ms` : 'is closed')
    }
    const signature = normalizeSignature(answer)
    const signedBy =
      signature && (await recoverAddress({ hash: digest.of(typed), signature }).catch(() => undefined))
    if (!signature || signedBy?.toLowerCase() !== address) {
      throw unavailable('returned no signature of this payment by its address (contract wallets cannot pay)')
    }
    return signature
  }

  return {
    address,
    sign,
    async signMany(typed, signal, onProgress) {
      const signatures: Hex[] = []
      for (const one of typed) {
        signatures.push(await sign(one, signal))
        onProgress?.(signatures.length)
      }
      return signatures
    },
    check: () => (closing.signal.aborted ? Promise.reject(unavailable('is closed')) : Promise.resolve()),
    close() {
      closing.abort()
      return Promise.resolve()
    },
  }
}

/** Its own words may hold a secret, so they stay in the cause. */
async function ask(account: SigningAccount, typed: TypedMessage): Promise<string> {
  try {
    const answer: unknown = await account.signTypedData(toEip712(typed))
    return typeof answer === 'string' ? answer : ''
  } catch (cause) {
    throw unavailable('refused to sign', cause)
  }
}

/** `undefined` once the signal is aborted. */
function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined)
    else signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
}

function unavailable(what: string, cause?: unknown): TollwayError {
  return new TollwayError({
    code: 'signer_unavailable',
    message: `The account that signs ${what}; nothing was signed.`,
    advice: ['Check the account that direct() was given.'],
    cause,
  })
}
