/**
 * Signs payments in one worker thread that alone loads and holds the private key (rule 8). The key is never in the main thread's
 * memory, and its event loop is busy for microseconds instead of the 0.4 ms of a signature.
 */
import type { KeyReference } from '../../core/payer/key-reference.ts'
import type { SignInMessage } from '../../core/policy/sign-in.ts'
import type { TypedMessage } from '../../core/payer/typed-message.ts'
import { MAX_BATCH } from './signer-protocol.ts'
import {
  spawnSigner,
  startThread,
  unavailable,
  type SignerWorker,
  type ThreadSignerOptions,
} from './signer-thread.ts'

/** Signs payments with one key, wherever the key is kept. */
export interface Signer {
  /** The paying address, lower case. */
  readonly address: string
  /**
   * @throws TollwayError `signer_unavailable` when the signer is gone, refuses, or does not answer in time
   * @throws the signal's reason when it is aborted first; a signature made after that is dropped
   */
  sign(typed: TypedMessage, signal: AbortSignal): Promise<`0x${string}`>
  /**
   * Signs a batch in the given order, without blocking single signatures for long. All or nothing: signatures made before a
   * failure are dropped.
   * @param onProgress called with the number done
   * @throws as {@link Signer.sign}
   */
  signMany(
    typed: readonly TypedMessage[],
    signal: AbortSignal,
    onProgress?: (done: number) => void,
  ): Promise<readonly `0x${string}`[]>
  /**
   * Signs in (EIP-191); absent where the key is with a signer that cannot. The message passed the gate.
   * @throws as {@link Signer.sign}
   */
  signIn?(message: SignInMessage, signal: AbortSignal): Promise<`0x${string}`>
  /** Whether it could sign now. @throws TollwayError `signer_unavailable` */
  check(): Promise<void>
  /** Releases the key, or the connection to it. Pending signatures are refused. */
  close(): Promise<void>
}

/**
 * Starts the worker and waits until it has loaded the key. A key in an environment variable is removed from the environment, so
 * that no other signer, child process or diagnostic report of this process finds it there afterwards. One variable therefore
 * serves one signer: share its payer between routes, or give another payer its own variable or a file.
 * @throws ConfigError when the key is missing, already taken, badly kept (file mode, owner) or malformed
 * @throws TollwayError `signer_unavailable` when the worker does not start
 */
export async function startSigner(options: ThreadSignerOptions): Promise<Signer> {
  const { thread, address, timeoutMs } = await startThread(options, spawnWorker)
  return {
    address: address.toLowerCase(),
    async sign(typed, signal) {
      const [signature] = await thread.sign([typed], signal, timeoutMs)
      return signature ?? absent()
    },
    async signMany(typed, signal, onProgress) {
      const signatures: `0x${string}`[] = []
      for (let at = 0; at < typed.length; at += MAX_BATCH) {
        signatures.push(...(await thread.sign(typed.slice(at, at + MAX_BATCH), signal, timeoutMs)))
        onProgress?.(signatures.length)
      }
      return signatures
    },
    async signIn(message, signal) {
      const [signature] = await thread.sign([{ kind: 'sign_in', message }], signal, timeoutMs)
      return signature ?? absent()
    },
    check: async () => thread.check(),
    close: () => thread.close(),
  }
}

function spawnWorker(key: KeyReference): SignerWorker {
  const file = import.meta.url.endsWith('.ts') ? './signer.worker.ts' : './signer.worker.js'
  return spawnSigner(new URL(file, import.meta.url), key)
}

function absent(): never {
  throw unavailable('sent no signature')
}
