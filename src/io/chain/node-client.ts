/** The JSON-RPC client that nodes are read with. Apart from what reads them: viem's types stay out of ours. */
import { createPublicClient, http, type PublicClient } from 'viem'

const TIMEOUT_MS = 10_000
/** Receipts and logs are kilobytes; a node that sends more is broken. */
const MAX_ANSWER_BYTES = 8_388_608

/** A client that asks once and keeps nothing. It ends with the signal. */
export function nodeClient(
  options: Pick<ChainOptions, 'rpc' | 'timeoutMs'>,
  closing: AbortSignal,
): PublicClient {
  return createPublicClient({
    transport: http(options.rpc, {
      retryCount: 0,
      timeout: options.timeoutMs ?? TIMEOUT_MS,
      maxResponseBodySize: MAX_ANSWER_BYTES,
      // A redirect would carry the key in the address to somebody else.
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

/** Which block counts as one that can no longer be replaced. */
export type Finality = 'safe' | 'finalized'

/** How to reach a network. */
export interface ChainOptions {
  /** CAIP-2. */
  readonly network: string
  /** JSON-RPC over HTTP(S). May hold a key: it is never shown. */
  readonly rpc: string
  readonly finality: Finality
  /** How long one answer may take, milliseconds; default 10,000. */
  readonly timeoutMs?: number | undefined
}
