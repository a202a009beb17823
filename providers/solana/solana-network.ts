/** What a payer keeps for one Solana network: a recent block hash, its own funds, and which payees can be paid. */
import type { Clock } from '../../src/core/clock.ts'
import type { Timers } from '../../src/core/timers.ts'
import { BlockhashKeeper } from '../../src/io/chain/solana/blockhash-keeper.ts'
import { openSolanaReader, type RecentBlockhash } from '../../src/io/chain/solana/solana-reader.ts'
import { solanaWallet } from '../../src/io/chain/solana/solana-wallet.ts'
import { WalletWatch } from '../../src/io/chain/wallet-watch.ts'

/** A node that takes longer blocks nothing but what cannot be signed without it. */
const NODE_TIMEOUT_MS = 5_000
/** How long a payee's token account is waited for, milliseconds. */
const PAYEE_MS = 2_000
const MAX_REMEMBERED = 1000

/** What {@link SolanaNetwork} works with. */
export interface SolanaNetworkContext {
  /** CAIP-2. */
  readonly network: string
  readonly rpc: string
  /** The paying wallet. */
  readonly owner: string
  readonly clock: Clock
  readonly timers: Timers
}

/** See the file's head. */
export class SolanaNetwork {
  readonly funds: WalletWatch
  readonly #reader
  readonly #keeper: BlockhashKeeper
  readonly #timers: Timers
  /** Token accounts that were seen: they are not closed while a seller uses them. */
  readonly #seen = new Set<string>()

  constructor({ network, rpc, owner, clock, timers }: SolanaNetworkContext) {
    this.#reader = openSolanaReader({ network, rpc, timeoutMs: NODE_TIMEOUT_MS })
    this.#keeper = new BlockhashKeeper({ reader: this.#reader, clock, timers })
    this.#timers = timers
    this.funds = new WalletWatch({ reader: solanaWallet(this.#reader), owner, clock, timers })
    this.#keeper.start()
  }

  /** @throws TollwayError `signer_unavailable` */
  recentBlockhash(): Promise<RecentBlockhash> {
    return this.#keeper.recent()
  }

  /** Whether a token account exists; `undefined` when the node does not answer in time. */
  async exists(account: string): Promise<boolean | undefined> {
    if (this.#seen.has(account)) return true
    const { promise, resolve } = Promise.withResolvers<undefined>()
    const cancel = this.#timers.after(PAYEE_MS, () => resolve(undefined))
    const asked = this.#reader.account(account).then(
      (found) => found !== undefined,
      () => undefined,
    )
    const found = await Promise.race([asked, promise])
    cancel()
    if (found === true) {
      if (this.#seen.size >= MAX_REMEMBERED) this.#seen.clear()
      this.#seen.add(account)
    }
    return found
  }

  close(): void {
    this.#keeper.close()
    this.funds.close()
  }
}
