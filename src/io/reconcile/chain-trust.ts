/** Checks that a node's answers agree with each other and with its earlier answers. */
import { findEvmNetwork } from '../../core/money/assets.ts'
import type { ChainBlock } from '../../core/charge/reconcile.ts'
import { ChainError, type ChainReader } from '../chain/chain.ts'

/** The block that a run reads at. */
export interface TrustedHead {
  readonly chainId: number
  readonly head: ChainBlock
}

/**
 * How far a final block may be ahead of our clock, milliseconds. Real ones are behind it; the rest is how wrong a machine's
 * clock usually is.
 */
const MAX_AHEAD_MS = 600_000

/** Whether a block's time (unix seconds) is further ahead of our clock (milliseconds) than an honest node and a usual clock explain. */
export function isFromFuture(timestamp: number, now: number): boolean {
  return timestamp * 1000 > now + MAX_AHEAD_MS
}

/**
 * Remembers the final blocks of one node. Final blocks are never replaced and their numbers only grow. A node that breaks this is
 * wrong, or is another node, and its answers must not move a charge. A lying node that never contradicts itself cannot be
 * detected, except by its time.
 */
export class HeadKeeper {
  readonly #reader: ChainReader
  readonly #now: () => number
  #last: ChainBlock | undefined

  /** @param now our own clock, milliseconds since the epoch */
  constructor(reader: ChainReader, now: () => number) {
    this.#reader = reader
    this.#now = now
  }

  /**
   * The newest final block, checked.
   * @throws ChainError `wrong_chain_id`; `block_went_back`: it is older than the node's previous final block; `block_unknown`: the
   * node names a block that it does not have; `block_changed`: a final block was replaced; `block_from_future`: its time is far ahead of our clock, so one
   * of the two is wrong; and the errors of the reader
   */
  async next(): Promise<TrustedHead> {
    const reader = this.#reader
    const chainId = await reader.chainId()
    if (chainId !== findEvmNetwork(reader.network)?.chainId) throw new ChainError('wrong_chain_id')
    const head = await reader.finalBlock()
    if (isFromFuture(head.timestamp, this.#now())) throw new ChainError('block_from_future')
    const last = this.#last
    if (last && (head.number < last.number || head.timestamp < last.timestamp))
      throw new ChainError('block_went_back')
    if ((await reader.newest()) < head.number) throw new ChainError('block_unknown')
    if (!isSame(await reader.block(head.number), head)) throw new ChainError('block_changed')
    if (last && !isSame(await reader.block(last.number), last)) throw new ChainError('block_changed')
    this.#last = head
    return { chainId, head }
  }
}

function isSame(one: ChainBlock, other: ChainBlock): boolean {
  return one.number === other.number && one.hash === other.hash && one.timestamp === other.timestamp
}
