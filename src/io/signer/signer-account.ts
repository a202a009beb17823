/**
 * A signer of the program's own: a viem account, or a function that asks a KMS, a hardware wallet or a custody service. It
 * is asked only for the closed set of payment messages, and its answer is used only after it was verified as a signature of
 * that message by its address.
 */
import { hashMessage, recoverAddress, type Hex } from 'viem'
import { TollwayError } from '../../core/errors.ts'
import { signInText } from '../../core/policy/sign-in.ts'
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
  /**
   * Signs a text (EIP-191). Only sign-ins at sellers need it; absent, they are not used.
   * @returns as `signTypedData`
   */
  signMessage?(text: { readonly message: string }): Promise<string>
}

interface ToSign {
  /** Whose signature it must be. */
  readonly by: string
  readonly ask: () => Promise<unknown>
  readonly hash: () => Hex
}

/**
 * Wraps an account as a signer.
 * @param timeoutMs longest wait for one signature; a person may have to press a button
 */
export function accountSigner(account: SigningAccount, timeoutMs: number): Signer {
  const address = account.address.toLowerCase()
  const digest = new TypedDigest()
  const closing = new AbortController()

  async function signed({ by, ask, hash }: ToSign, signal: AbortSignal): Promise<Hex> {
    signal.throwIfAborted()
    if (closing.signal.aborted) throw unavailable('is closed')
    if (by.toLowerCase() !== address) throw unavailable('does not sign for this address')
    const timeout = AbortSignal.timeout(timeoutMs)
    const ending = AbortSignal.any([signal, timeout, closing.signal])
    const answer = await Promise.race([asked(ask), aborted(ending)])
    if (answer === undefined) {
      if (signal.aborted) throw signal.reason
      throw unavailable(timeout.aborted ? `did not answer within ${timeoutMs} ms` : 'is closed')
    }
    const signature = normalizeSignature(answer)
    const signedBy = signature && (await recoverAddress({ hash: hash(), signature }).catch(() => undefined))
    if (!signature || signedBy?.toLowerCase() !== address) {
      throw unavailable('returned no signature of this message by its address (contract wallets cannot pay)')
    }
    return signature
  }

  const sign = async (typed: TypedMessage, signal: AbortSignal): Promise<Hex> =>
    await signed(
      { by: payerOf(typed), ask: () => account.signTypedData(toEip712(typed)), hash: () => digest.of(typed) },
      signal,
    )

  return {
    address,
    sign,
    ...(account.signMessage && {
      async signIn(message, signal) {
        const text = signInText(message)
        return await signed(
          {
            by: message.address,
            ask: async () => await account.signMessage?.({ message: text }),
            hash: () => hashMessage(text),
          },
          signal,
        )
      },
    }),
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
async function asked(ask: ToSign['ask']): Promise<string> {
  try {
    const answer = await ask()
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
