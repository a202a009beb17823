/**
 * The one JSON-RPC client with which nodes are read. It lies apart from its users so that viem's types stay out of
 * their interfaces.
 */
import { createPublicClient, http, type PublicClient } from 'viem'

const TIMEOUT_MS = 10_000
/** Receipts and logs take kilobytes; a node that sends more than this is broken. */
const MAX_RESPONSE_BYTES = 8_388_608

/** How to reach a node. */
export interface NodeClientOptions {
  /** JSON-RPC over HTTP(S). It may contain a key and is never shown. */
  readonly rpc: string
  /** How long one answer may take, milliseconds; default 10,000. */
  readonly timeoutMs?: number | undefined
  /** The largest answer that is read, bytes; default 8,388,608. */
  readonly maxResponseBytes?: number | undefined
}

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
    // A contract could otherwise send us to addresses of its own choice (EIP-3668).
    ccipRead: false,
  })
}

function eitherSignal(one: AbortSignal | null | undefined, other: AbortSignal): AbortSignal {
  return one ? AbortSignal.any([one, other]) : other
}

/** Which block counts as final: it can no longer be replaced. */
export type Finality = 'safe' | 'finalized'

/** How to read a network. */
export interface ChainOptions extends Pick<NodeClientOptions, 'rpc' | 'timeoutMs'> {
  /** CAIP-2. */
  readonly network: string
  readonly finality: Finality
}
