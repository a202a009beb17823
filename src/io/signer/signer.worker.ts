/**
 * The only thread that holds a private key. It loads the key from its source and signs the payments and allowances of the
 * protocol, and nothing else. It logs nothing, and no library error leaves it.
 */
import { isMainThread, parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { z } from 'zod'
import type { PrivateKeyAccount } from 'viem/accounts'
import { hashMessage } from 'viem/utils'
import { signInText } from '../../core/policy/sign-in.ts'
import { payerOf } from '../../core/payer/typed-message.ts'
import { KeyFault } from './private-key.ts'
import { SIGN_REQUEST, WORKER_DATA, type WorkerMessage } from './signer-protocol.ts'
import { loadKey } from './load-key.ts'
import { TypedDigest } from './typed-digest.ts'

async function answer(
  account: PrivateKeyAccount,
  digest: TypedDigest,
  message: unknown,
): Promise<WorkerMessage> {
  const request = SIGN_REQUEST.safeParse(message)
  if (!request.success) {
    const id = z.object({ id: z.int() }).safeParse(message).data?.id ?? -1
    return { type: 'refused', id, reason: 'it is not an EIP-3009, Permit2 or EIP-2612 message of a payment' }
  }
  const { id, messages } = request.data
  const own = account.address.toLowerCase()
  const signerOf = (typed: (typeof messages)[number]): string =>
    typed.kind === 'sign_in' ? typed.message.address : payerOf(typed)
  if (messages.some((typed) => signerOf(typed).toLowerCase() !== own)) {
    return { type: 'refused', id, reason: 'it spends from an address that this key does not own' }
  }
  try {
    const signatures: `0x${string}`[] = []
    for (const typed of messages) {
      const hash = typed.kind === 'sign_in' ? hashMessage(signInText(typed.message)) : digest.of(typed)
      signatures.push(await account.sign({ hash }))
    }
    return { type: 'signed', id, signatures }
  } catch {
    return { type: 'refused', id, reason: 'it cannot be signed (a number or an address is out of range)' }
  }
}

async function serve(port: MessagePort): Promise<void> {
  const say = (message: WorkerMessage): void => port.postMessage(message)
  try {
    const account = await loadKey(WORKER_DATA.parse(workerData).key)
    const digest = new TypedDigest()
    port.on('message', (message) => {
      void answer(account, digest, message).then(say)
    })
    say({ type: 'ready', address: account.address })
  } catch (error) {
    say({ type: 'fault', fault: error instanceof KeyFault ? error.message : 'The signer could not start.' })
  }
}

if (!isMainThread && parentPort) void serve(parentPort)
