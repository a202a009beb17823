/** Looks at one Solana network for the reconciler. */
import { decideSolana } from '../../core/charge/reconcile-solana.ts'
import { ChainError } from '../chain/chain.ts'
import type { SolanaReader } from '../chain/solana/solana-reader.ts'
import { SolanaHeadKeeper } from '../chain/solana/solana-trust.ts'
import { isFromFuture } from './chain-trust.ts'
import { troubleOf, type ChainWatch } from './network-run.ts'
import { observeSolana, type SolanaView } from './solana-observe.ts'
import { SolanaSearch } from './solana-search.ts'

/**
 * What it remembers of the chain stays from look to look.
 * @param now our own clock, milliseconds since the epoch: no node can turn it forward
 */
export function watchSolana(reader: SolanaReader, now: () => number): ChainWatch {
  const heads = new SolanaHeadKeeper(reader)
  const search = new SolanaSearch(reader)
  return {
    network: reader.network,
    async look() {
      // Read before the block: what is past by it was past when the block was asked for.
      const seconds = Math.floor(now() / 1000)
      const head = await heads.next()
      if (isFromFuture(head.time, now())) throw new ChainError('block_from_future')
      const view: SolanaView = { reader, search, look: search.look(head.slot), head, now: seconds }
      return {
        block: BigInt(head.slot),
        async decide(charge) {
          const observation = await observeSolana(view, charge)
          return { decision: decideSolana(charge, observation), trouble: troubleOf(observation) }
        },
      }
    },
    close: () => reader.close(),
  }
}
