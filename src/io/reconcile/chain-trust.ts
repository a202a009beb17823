/** Whether a node may be believed: what it says must agree with itself and with what it said before. */
import { findNetwork } from '../../core/money/assets.ts'
import type { ChainBlock } from '../../core/charge/reconcile.ts'
import { ChainError, type ChainReader } from '../chain/chain.ts'

/** What one look at a network rests on. */
export interface TrustedHead {
  readonly chainId: number
  readonly head: ChainBlock
}

/**
 * Remembers the final blocks of one node. Final blocks cannot be replaced and their numbers only grow, so a node that
 * breaks this is wrong or another one, and nothing may be booked on its word. A node that lies and never contradicts
 * itself cannot be told from an honest one.
 */
export class HeadKeeper {
  readonly #reader: ChainReader
  #last: ChainBlock | undefined

  constructor(reader: ChainReader) {
    this.#reader = reader
  }

  /**
   * The newest final block, checked.
   * @throws ChainError `wrong_chain_id`; `block_went_back`: behind what this node said before; `block_unknown`: it names a block that it
   * does not have; `block_changed`: a final block has become another one; and as the reader does
   */
  async next(): Promise<TrustedHead> {
    const reader = this.#reader
    const chainId = await reader.chainId()
    if (chainId !== findNetwork(reader.network)?.chainId) throw new ChainError('wrong_chain_id')
    const head = await reader.finalBlock()
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
