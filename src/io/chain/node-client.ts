/**
 * The only JSON-RPC client for reading nodes. It has its own file so that viem's types stay out of the interfaces of its users.
 */
import { createPublicClient, http, type PublicClient } from 'viem'
import type { NodeClientOptions } from './chain-options.ts'

const TIMEOUT_MS = 10_000
/** Receipts and logs take kilobytes; a node that sends more than this is broken. */
const MAX_RESPONSE_BYTES = 8_388_608

/**
 * A client that sends every request once, follows no redirect and caches nothing.
 * @param closing aborts all requests of the client
 */
export function nodeClient(options: NodeClientOptions, closing: AbortSignal): PublicClient {
  return createPublicClient({
    transport: http(options.rpc, {
      retryCount: 0,
      timeout: options.timeoutMs ?? TIMEOUT_MS,
      maxResponseBodySize: options.maxResponseBytes ?? MAX_RESPONSE_BYTES,
      // A redirect would hand the key in the address to another host.
      fetchFn: (input, init) =>
        fetch(input, { ...init, redirect: 'error', signal: eitherSignal(init?.signal, closing) }),
    }),
    cacheTime: 0,
    // Otherwise a contract could make us call URLs of its choice (EIP-3668).
    ccipRead: false,
  })
}

function eitherSignal(one: AbortSignal | null | undefined, other: AbortSignal): AbortSignal {
  return one ? AbortSignal.any([one, other]) : other
}
