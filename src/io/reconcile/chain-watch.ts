/** Looks at one EVM network for the reconciler. */
import { decide } from '../../core/charge/reconcile.ts'
import type { ChainReader } from '../chain/chain.ts'
import { BlockSearch } from './chain-blocks.ts'
import { observe, type ChainView } from './chain-observe.ts'
import { HeadKeeper } from './chain-trust.ts'
import { troubleOf, type ChainWatch } from './network-run.ts'

/**
 * What it remembers of the chain stays from look to look.
 * @param now our own clock, milliseconds since the epoch
 */
export function watchEvm(reader: ChainReader, now: () => number): ChainWatch {
  const heads = new HeadKeeper(reader, now)
  const search = new BlockSearch(reader)
  return {
    network: reader.network,
    async look() {
      const view: ChainView = { reader, search, ...(await heads.next()) }
      return {
        block: view.head.number,
        time: view.head.timestamp,
        async decide(charge) {
          const observation = await observe(view, charge)
          return { decision: decide(charge, observation, now()), trouble: troubleOf(observation) }
        },
      }
    },
    close: () => reader.close(),
  }
}
