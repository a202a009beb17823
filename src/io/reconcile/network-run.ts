/** Looks at the open charges of one network, whatever kind of chain it is. */
import type { Charge } from '../../core/charge/charge.ts'
import type { ReconcileDecision } from '../../core/charge/reconcile.ts'
import { ChainError } from '../chain/chain.ts'
import type { LedgerUse } from '../ledger/ledger-use.ts'

/** Charges asked for at once. */
const PAGE = 100
/** Charges of one network looked at at the same time. */
const CONCURRENCY = 4
/** The share of a run that is for settled charges without proof, where there are any. */
const SETTLED_SHARE = 1 / 5

/** A network that can be looked at again and again. */
export interface ChainWatch {
  /** CAIP-2. */
  readonly network: string
  /**
   * Begins a look at the newest final block.
   * @throws ChainError when the node gives no usable answer, or is not to be believed
   */
  look(): Promise<ChainLook>
  /** Ends what is under way; later looks fail. */
  close(): void
}

/** A look at one final block. */
export interface ChainLook {
  /** The number of the block; on Solana its slot. */
  readonly block: bigint
  /** Its time, unix seconds, where it can be compared with a clock. */
  readonly time?: number | undefined
  /** @returns `trouble`: why the node could not be read about this charge, when it could not */
  decide(
    charge: Charge,
  ): Promise<{ readonly decision: ReconcileDecision; readonly trouble: string | undefined }>
}

/** The result of a run for one network. */
export interface NetworkReport {
  /** CAIP-2. */
  readonly network: string
  /** Whether the node answered everything and was believed. */
  readonly ok: boolean
  /** Why not, of the first question that failed. */
  readonly reason: string | undefined
  /** The final block everything was read at. */
  readonly block: bigint | undefined
  /** The time of that block, unix seconds. */
  readonly time?: number | undefined
  /** Charges that were looked at. */
  readonly looked: number
  /** Whether there are more than one run looks at. */
  readonly more: boolean
}

/** The charges that may be unproven, and the moves that a proof leads to. */
type ReconciledLedger = LedgerUse<'resolve', 'unproven'>

/** The looks at one network, each going on where the one before ended: charges that stay open must not starve later ones. */
export class NetworkRun {
  readonly watch: ChainWatch
  readonly #ledger: ReconciledLedger
  readonly #pins: (seller: string) => boolean
  /** Where the looks at uncertain and at merely unproven charges go on. */
  readonly #after = { uncertain: '', settled: '' }

  constructor(watch: ChainWatch, ledger: ReconciledLedger, pins: (seller: string) => boolean) {
    this.watch = watch
    this.#ledger = ledger
    this.#pins = pins
  }

  /** @throws TollwayError when the ledger cannot be read or written; a node that fails is named in the report */
  async run(most: number, onChange: (before: Charge, after: Charge) => void): Promise<NetworkReport> {
    const { network } = this.watch
    let look: ChainLook
    try {
      look = await this.watch.look()
    } catch (error) {
      if (!(error instanceof ChainError)) throw error
      return { network, ok: false, reason: error.reason, block: undefined, looked: 0, more: false }
    }
    const isAll = most === Number.POSITIVE_INFINITY
    if (isAll) Object.assign(this.#after, { uncertain: '', settled: '' })
    let reason: string | undefined
    const decide = async (charge: Charge): Promise<void> => {
      const { decision, trouble } = await look.decide(charge)
      reason ??= trouble
      const moved = await this.#ledger.resolve(charge, decision, this.#pins(charge.seller))
      if (moved) onChange(charge, moved)
    }
    // Where a seller named the transaction, one look at it tells: those first, and never all there is time for.
    const claimed = await this.#ledger.store.unproven({
      network,
      claimed: true,
      limit: Math.min(PAGE, Math.floor(most / 2)),
    })
    await inParallel(claimed, decide)
    const done = new Set(claimed.map(({ id }) => id))
    let looked = claimed.length
    // An uncertain charge takes of the budgets; one that is settled without proof counts as it should. Some of each run are its.
    const kept = isAll ? 0 : (await this.#page('settled', Math.floor(most * SETTLED_SHARE))).length
    looked += await this.#pass('uncertain', most - looked - kept, done, decide)
    looked += await this.#pass('settled', most - looked, done, decide)
    const more = this.#after.uncertain !== '' || this.#after.settled !== ''
    const { block, time } = look
    return { network, ok: reason === undefined, reason, block, time, looked, more }
  }

  /** @returns how many charges were looked at */
  async #pass(
    state: 'uncertain' | 'settled',
    most: number,
    done: ReadonlySet<string>,
    decide: (charge: Charge) => Promise<void>,
  ): Promise<number> {
    let looked = 0
    for (;;) {
      const limit = Math.min(PAGE, most - looked)
      if (limit <= 0) return looked
      const page = await this.#page(state, limit)
      const others = page.filter(({ id }) => !done.has(id))
      await inParallel(others, decide)
      looked += others.length
      const last = page.at(-1)
      this.#after[state] = page.length < limit || !last ? '' : last.id
      if (this.#after[state] === '') return looked
    }
  }

  async #page(state: 'uncertain' | 'settled', limit: number): Promise<Charge[]> {
    return await this.#ledger.store.unproven({
      network: this.watch.network,
      state,
      after: this.#after[state],
      limit,
    })
  }
}

/** Works through a list, oldest first, a few at a time. What one throws ends all. */
async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const worker = async (): Promise<void> => {
    try {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
    } catch (error) {
      queue.length = 0
      throw error
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker))
}

/** Why the node could not be read; a block that is not final yet is no trouble. */
export function troubleOf(
  observation: { readonly kind: 'no_answer'; readonly reason: string } | { readonly kind: 'reading' },
): string | undefined {
  return observation.kind === 'no_answer' && observation.reason !== 'not_final_yet'
    ? observation.reason
    : undefined
}
