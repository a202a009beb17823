/** Whether a Solana node may be believed: it must be of the right chain, and what it says must agree with what it said before. */
import { ChainError } from '../chain.ts'
import type { FinalBlock, SolanaReader } from './solana-reader.ts'

/** The part of a genesis hash that CAIP-2 names a chain by. */
const REFERENCE_CHARACTERS = 32

/** @throws ChainError `wrong_chain_id` when the node serves another network than the one it is configured for */
export async function checkGenesis(reader: SolanaReader): Promise<void> {
  const genesis = await reader.genesis()
  if (`solana:${genesis.slice(0, REFERENCE_CHARACTERS)}` !== reader.network) {
    throw new ChainError('wrong_chain_id')
  }
}

/** What one look at a network rests on. */
export interface TrustedSolanaHead extends FinalBlock {
  /** Unix seconds, as the node tells it: shown, and never believed. */
  readonly time: number
}

/**
 * Remembers the final blocks of one node. Their slots and heights only grow, so a node that breaks this is wrong or another one,
 * and nothing may be booked on its word.
 */
export class SolanaHeadKeeper {
  readonly #reader: SolanaReader
  #last: FinalBlock | undefined

  constructor(reader: SolanaReader) {
    this.#reader = reader
  }

  /**
   * The newest final block, checked.
   * @throws ChainError `wrong_chain_id`; `block_went_back`: behind what this node said before; and as the reader does
   */
  async next(): Promise<TrustedSolanaHead> {
    await checkGenesis(this.#reader)
    const head = await this.#reader.finalBlock()
    const last = this.#last
    if (head.height > head.slot) throw new ChainError('bad_answer')
    if (last && (head.slot < last.slot || head.height < last.height)) throw new ChainError('block_went_back')
    // A height cannot grow by more than the slots that went by.
    if (last && head.height - last.height > head.slot - last.slot) throw new ChainError('block_changed')
    const time = await this.#reader.blockTime(head.slot)
    this.#last = head
    return { ...head, time }
  }
}
