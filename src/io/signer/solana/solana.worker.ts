/**
 * The only thread that holds a Solana key. It loads the key from its source, builds payments and sign-ins and signs them, and nothing else.
 * It logs nothing, and no library error leaves it.
 */
import { sign } from 'node:crypto'
import { isMainThread, parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { z } from 'zod'
import { signInText } from '../../../core/policy/sign-in.ts'
import { paymentMessage } from '../../../core/solana/payment.ts'
import { KeyFault } from '../private-key.ts'
import { WORKER_DATA, type WorkerMessage } from '../signer-protocol.ts'
import { loadSolanaKey } from './load-solana-key.ts'
import type { SolanaKey } from './solana-key.ts'
import { SOLANA_SIGN_REQUEST } from './solana-protocol.ts'
import { TokenAccounts } from './token-accounts.ts'

function answer(wallet: SolanaKey, accounts: TokenAccounts, message: unknown): WorkerMessage {
  const request = SOLANA_SIGN_REQUEST.safeParse(message)
  if (!request.success) {
    const id = z.object({ id: z.int() }).safeParse(message).data?.id ?? -1
    return { type: 'refused', id, reason: 'it is not a payment on Solana' }
  }
  const { id, messages } = request.data
  if (messages.some((one) => (one.kind === 'sign_in' ? one.message.address : one.owner) !== wallet.address)) {
    return { type: 'refused', id, reason: 'it spends from an address that this key does not own' }
  }
  try {
    const signatures = messages.map((one): `0x${string}` => {
      const bytes =
        one.kind === 'sign_in' ? Buffer.from(signInText(one.message)) : paymentMessage(one, accounts.of(one))
      return `0x${sign(undefined, bytes, wallet.key).toString('hex')}`
    })
    return { type: 'signed', id, signatures }
  } catch {
    return {
      type: 'refused',
      id,
      reason: 'it cannot be signed (one of its parties or numbers is not allowed)',
    }
  }
}

async function serve(port: MessagePort): Promise<void> {
  const say = (message: WorkerMessage): void => port.postMessage(message)
  try {
    const wallet = await loadSolanaKey(WORKER_DATA.parse(workerData).key)
    const accounts = new TokenAccounts()
    port.on('message', (message) => say(answer(wallet, accounts, message)))
    say({ type: 'ready', address: wallet.address })
  } catch (error) {
    say({ type: 'fault', fault: error instanceof KeyFault ? error.message : 'The signer could not start.' })
  }
}

if (!isMainThread && parentPort) void serve(parentPort)
