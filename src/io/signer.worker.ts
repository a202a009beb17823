/**
 * The only place where a private key is: this thread takes it from its source and signs EIP-3009 authorizations,
 * and nothing else. It logs nothing, and no error of a library leaves it.
 */
import { isMainThread, parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { z } from 'zod'
import type { PrivateKeyAccount } from 'viem/accounts'
import { TRANSFER_WITH_AUTHORIZATION } from '../core/authorization.ts'
import type { KeyReference } from '../core/key-reference.ts'
import { readKeyFile } from './key-file.ts'
import { accountOf, KeyFault } from './private-key.ts'
import { SIGN_REQUEST, WORKER_DATA, type WorkerMessage } from './signer-protocol.ts'

const HEX = z.templateLiteral(['0x', z.string()])

function load(key: KeyReference): PrivateKeyAccount {
  if (key.source === 'file') return accountOf(readKeyFile(key.path), `key file ${key.path}`)
  // The environment is shared with the main thread: what is deleted here is gone there too.
  const text = process.env[key.name]
  delete process.env[key.name]
  return accountOf(text ?? '', `environment variable ${key.name}`)
}

async function answer(account: PrivateKeyAccount, message: unknown): Promise<WorkerMessage> {
  const request = SIGN_REQUEST.safeParse(message)
  if (!request.success) {
    const id = z.object({ id: z.int() }).safeParse(message).data?.id ?? -1
    return { type: 'refused', id, reason: 'it is not an EIP-3009 TransferWithAuthorization' }
  }
  const { id, typed } = request.data
  const { from, to, value, validAfter, validBefore, nonce } = typed.message
  if (from.toLowerCase() !== account.address.toLowerCase()) {
    return { type: 'refused', id, reason: 'it spends from an address that this key does not own' }
  }
  try {
    const signature = await account.signTypedData({
      domain: { ...typed.domain, verifyingContract: HEX.parse(typed.domain.verifyingContract) },
      types: { TransferWithAuthorization: TRANSFER_WITH_AUTHORIZATION },
      primaryType: 'TransferWithAuthorization',
      message: {
        from: HEX.parse(from),
        to: HEX.parse(to),
        value: BigInt(value),
        validAfter: BigInt(validAfter),
        validBefore: BigInt(validBefore),
        nonce: HEX.parse(nonce),
      },
    })
    return { type: 'signed', id, signature }
  } catch {
    return { type: 'refused', id, reason: 'it cannot be signed (a number or an address is out of range)' }
  }
}

function serve(port: MessagePort): void {
  const say = (message: WorkerMessage): void => port.postMessage(message)
  try {
    const account = load(WORKER_DATA.parse(workerData).key)
    port.on('message', (message) => {
      void answer(account, message).then(say)
    })
    say({ type: 'ready', address: account.address })
  } catch (error) {
    say({ type: 'fault', fault: error instanceof KeyFault ? error.message : 'The signer could not start.' })
  }
}

if (!isMainThread && parentPort) serve(parentPort)
