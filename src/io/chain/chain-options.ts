/** Options for reading nodes. No types of viem here, because these are part of the package's public declarations. */

/** How to reach a node. */
export interface NodeClientOptions {
  /** JSON-RPC over HTTP(S). It may contain a key and is never shown. */
  readonly rpc: string
  /** Longest wait for one response, milliseconds; default 10,000. */
  readonly timeoutMs?: number | undefined
  /** The largest response that is read, bytes; default 8,388,608. */
  readonly maxResponseBytes?: number | undefined
}

/** The block tag that counts as final, i.e. as no longer replaceable. */
export type Finality = 'safe' | 'finalized'

/** How to read a network. */
export interface ChainOptions extends Pick<NodeClientOptions, 'rpc' | 'timeoutMs'> {
  /** CAIP-2. */
  readonly network: string
  readonly finality: Finality
}
