/** Signs payments on Solana in one worker thread that alone loads and holds the key (rule 8). */
import type { KeyReference } from '../../../core/payer/key-reference.ts'
import type { SignInMessage } from '../../../core/policy/sign-in.ts'
import type { SolanaPayment } from '../../../core/solana/payment.ts'
import { SIGNATURE_BYTES } from '../../../core/solana/transaction.ts'
import {
  spawnSigner,
  startThread,
  unavailable,
  type SignerWorker,
  type ThreadSignerOptions,
} from '../signer-thread.ts'

/** Signs payments with one key. */
export interface SolanaSigner {
  /** The paying wallet, base58. */
  readonly address: string
  /**
   * @returns the 64 bytes of the ed25519 signature over the payment's message
   * @throws TollwayError `signer_unavailable` when the signer is gone, refuses, or does not answer in time
   * @throws the signal's reason when it is aborted first; a signature made after that is dropped
   */
  sign(payment: SolanaPayment, signal: AbortSignal): Promise<Uint8Array>
  /**
   * Signs in. The message passed the gate.
   * @returns the 64 bytes of the ed25519 signature over the message's text
   * @throws as {@link SolanaSigner.sign}
   */
  signIn(message: SignInMessage, signal: AbortSignal): Promise<Uint8Array>
  /** Whether it could sign now. @throws TollwayError `signer_unavailable` */
  check(): Promise<void>
  /** Releases the key. Pending signatures are refused. */
  close(): Promise<void>
}

/**
 * Starts the worker and waits until it has loaded the key. A key in an environment variable is removed from the environment, as
 * for other signers.
 * @throws ConfigError when the key is missing, already taken, badly kept (file mode, owner) or malformed
 * @throws TollwayError `signer_unavailable` when the worker does not start
 */
export async function startSolanaSigner(options: ThreadSignerOptions): Promise<SolanaSigner> {
  const { thread, address, timeoutMs } = await startThread(options, spawnWorker)
  const signed = async (message: object, signal: AbortSignal): Promise<Uint8Array> => {
    const [text = ''] = await thread.sign([message], signal, timeoutMs)
    const signature = Buffer.from(text.slice(2), 'hex')
    if (signature.length !== SIGNATURE_BYTES) throw unavailable('sent no signature')
    return signature
  }
  return {
    address,
    sign: signed,
    signIn: (message, signal) => signed({ kind: 'sign_in', message }, signal),
    check: async () => thread.check(),
    close: () => thread.close(),
  }
}

function spawnWorker(key: KeyReference): SignerWorker {
  const file = import.meta.url.endsWith('.ts') ? './solana.worker.ts' : './solana.worker.js'
  return spawnSigner(new URL(file, import.meta.url), key)
}
