/**
 * The fourth total: what left the payers' wallets on the chain since this process started, by the token's Transfer events,
 * compared with what the ledger counts. The ledger may count more, because not every signed payment is taken and blocks become
 * final late. It must not count less: then someone else spends from the wallet, or the ledger is wrong.
 */
import type { Asset } from '../../core/money/assets.ts'
import { takenOf, type Charge } from '../../core/charge/charge.ts'
import type { Clock } from '../../core/clock.ts'
import { toMicroUsd } from '../../core/money/money.ts'
import { TOPICS, type ChainReader } from '../chain/chain.ts'
import type { ChargeStore, HistoryQuery } from '../store/contracts/charges.ts'

/** Options of {@link watchOutflow}. */
export interface OutflowOptions {
  readonly store: Pick<ChargeStore, 'history'>
  /** One reader per network. */
  readonly chains: readonly Pick<ChainReader, 'network' | 'finalBlock' | 'logs'>[]
  /** Only assets with a USD price are checked. */
  readonly assets: readonly Asset[]
  /** Paying addresses, lower case. */
  readonly payers: readonly string[]
  readonly clock: Clock
  /** The shortest time between two queries of the nodes, milliseconds. Earlier calls return the last result. */
  readonly intervalMs: number
  /** Lets requests run between two pages of the ledger. */
  readonly breathe: () => Promise<void>
}

/** The most blocks per query: nodes refuse longer ranges. */
const MAX_BLOCKS = 2000n
/** An authorization of a request is valid for at most a day (rule 6). Vouchers are valid for longer. */
const DAY_MS = 86_400_000

/**
 * Starts watching the payers' wallets.
 * @returns a function that resolves to the micro-USD that left the wallets beyond what the ledger counts; 0 when the ledger
 * counts enough; `undefined` until every node has answered twice, and while a node does not answer
 */
export function watchOutflow(options: OutflowOptions): () => Promise<bigint | undefined> {
  const watched = options.chains.flatMap((chain) => {
    const assets = options.assets.filter(
      (asset) => asset.network === chain.network && asset.usd !== undefined,
    )
    return assets.length === 0 ? [] : [new NetworkOutflow(chain, assets, options)]
  })
  let askedAt = Number.NEGATIVE_INFINITY
  let last: bigint | undefined
  return async () => {
    const now = options.clock.now()
    if (Math.abs(now - askedAt) < options.intervalMs) return last
    askedAt = now
    const beyond = await Promise.all(watched.map((one) => one.check().catch(() => undefined)))
    last = beyond.reduce<bigint | undefined>(
      (sum, one) => (sum === undefined || one === undefined ? undefined : sum + one),
      0n,
    )
    return last
  }
}

class NetworkOutflow {
  readonly #chain: OutflowOptions['chains'][number]
  readonly #assets: readonly Asset[]
  readonly #options: OutflowOptions
  #begun: { readonly timestamp: number } | undefined
  #until = 0n
  #outflow = 0n

  constructor(chain: OutflowOptions['chains'][number], assets: readonly Asset[], options: OutflowOptions) {
    this.#chain = chain
    this.#assets = assets
    this.#options = options
  }

  async check(): Promise<bigint | undefined> {
    const final = await this.#chain.finalBlock()
    if (!this.#begun) {
      this.#begun = { timestamp: final.timestamp }
      this.#until = final.number
      return undefined
    }
    while (this.#until < final.number) {
      const to = this.#until + MAX_BLOCKS < final.number ? this.#until + MAX_BLOCKS : final.number
      // Counted only when the whole range was read: after a failure the node is asked for all of it again.
      this.#outflow += await this.#leftBetween(this.#until + 1n, to)
      this.#until = to
    }
    if (this.#outflow === 0n) return 0n
    const known = await this.#counted(this.#begun.timestamp)
    return this.#outflow > known ? this.#outflow - known : 0n
  }

  async #leftBetween(from: bigint, to: bigint): Promise<bigint> {
    const senders = this.#options.payers.map((payer) => `0x${payer.slice(2).padStart(64, '0')}`)
    let sum = 0n
    for (const { address, decimals, usd } of this.#assets) {
      if (usd === undefined) continue
      const logs = await this.#chain.logs({ address, topics: [TOPICS.transfer, senders], from, to })
      for (const { data } of logs) sum += toMicroUsd(BigInt(data), decimals, usd)
    }
    return sum
  }

  /** The micro-USD of every payment that could be taken since then and is not proven unspent, by any process. */
  async #counted(since: number): Promise<bigint> {
    const begin = since * 1000 - DAY_MS
    const lately = await this.#sum(since, { since: begin, until: Number.MAX_SAFE_INTEGER })
    return lately + (await this.#sum(since, { since: 0, until: begin, longValidAt: since }))
  }

  async #sum(since: number, query: HistoryQuery): Promise<bigint> {
    const payers = new Set(this.#options.payers)
    let sum = 0n
    let after: Charge | undefined
    do {
      const page = await this.#options.store.history({ ...query, after, limit: 500 })
      for (const charge of page) {
        const { network, state, authorization } = charge
        if (network !== this.#chain.network || state === 'released' || !authorization) continue
        if (!payers.has(authorization.from) || authorization.validBefore < since) continue
        sum += takenOf(charge).microUsd ?? 0n
      }
      after = page.at(-1)
      await this.#options.breathe()
    } while (after)
    return sum
  }
}
