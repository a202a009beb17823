/** How nodes are reached and read. No types of viem here: the package's public declarations lead to these. */

/** How to reach a node. */
export interface NodeClientOptions {
  /** JSON-RPC over HTTP(S). It may contain a key and is never shown. */
  readonly rpc: string
  /** How long one answer may take, milliseconds; default 10,000. */
  readonly timeoutMs?: number | undefined
  /** The largest answer that is read, bytes; default 8,388,608. */
  readonly maxResponseBytes?: number | undefined
}

/** Which block counts as final: it can no longer be replaced. */
export type Finality = 'safe' | 'finalized'

/** How to read a network. */
export interface ChainOptions extends Pick<NodeClientOptions, 'rpc' | 'timeoutMs'> {
  /** CAIP-2. */
  readonly network: string
  readonly finality: Finality
}
