/** A payer's way to sign in at a seller that it has paid before: nothing is signed but what passed the gate (rule 6). */
import type { SignInSigner } from '../../src/core/payer/provider.ts'
import type { SignInMessage } from '../../src/core/policy/sign-in.ts'
import { VettedSignIn } from '../../src/core/policy/vet-sign-in.ts'

/**
 * @param payer its name, for the error
 * @param address EIP-55 letter case, or base58
 * @param sign composes the text of the message and signs it
 */
export function signInAs(
  payer: string,
  address: string,
  sign: (message: SignInMessage, signal: AbortSignal) => Promise<string>,
): SignInSigner {
  return {
    address,
    async sign(vetted, signal) {
      if (!VettedSignIn.isVetted(vetted)) {
        throw new TypeError(`${payer} was given a sign-in that did not pass the gate, so nothing was signed.`)
      }
      return await sign(vetted.message, signal)
    },
  }
}
