/**
 * Finds the final transaction that carries a signature of ours among those of a token account. Lists are shared by all charges
 * of one look; what a transaction carries is remembered beyond it, because final transactions do not change.
 */
import { createHash } from 'node:crypto'
import { encodeBase58 } from '../../core/solana/base58.ts'
import { decodeTransaction } from '../../core/solana/transaction.ts'
import { ChainError } from '../chain/chain.ts'
import { LIST_PAGE, type ListedTransaction, type SolanaReader } from '../chain/solana/solana-reader.ts'

/** Pages of one account that are asked for in one look: a hundred thousand payments. */
const MAX_PAGES = 100
/** Transactions read for one charge in one look; the next look goes on, with what was read. */
const MAX_READ = 1000
const MAX_REMEMBERED = 50_000

/** What a transaction carries. */
export interface Carried {
  /** Every signature of it, base58. */
  readonly signatures: readonly string[]
  /** SHA-256 of its message, `0x` and hex. */
  readonly message: string
  readonly slot: number
  /** It is in a block and did nothing. */
  readonly failed: boolean
}

/** See the file's head. One per node. */
export class SolanaSearch {
  readonly #reader: SolanaReader
  readonly #carried = new Map<string, Carried>()

  constructor(reader: SolanaReader) {
    this.#reader = reader
  }

  /** Begins a look: its lists are read once. @param slot of the final block everything is read up to */
  look(slot: number): SolanaLook {
    return new SolanaLook(this.#reader, slot, (signature) => this.carried(signature, slot))
  }

  /**
   * What a final transaction carries; `undefined` when the node does not know it.
   * @throws ChainError
   */
  async carried(signature: string, minSlot: number): Promise<Carried | undefined> {
    const known = this.#carried.get(signature)
    if (known) return known
    const found = await this.#reader.transaction(signature, minSlot)
    if (!found) return undefined
    const decoded = decodeTransaction(found.bytes)
    if (!decoded) throw new ChainError('bad_answer')
    const carried = {
      signatures: decoded.signatures.map(encodeBase58),
      message: `0x${createHash('sha256').update(decoded.message).digest('hex')}`,
      slot: found.slot,
      failed: found.failed,
    }
    if (this.#carried.size >= MAX_REMEMBERED) this.#carried.clear()
    this.#carried.set(signature, carried)
    return carried
  }
}

interface List {
  readonly entries: ListedTransaction[]
  /** There are none before the last entry. */
  complete: boolean
}

/** One look at all accounts of a network, at one final block. */
export class SolanaLook {
  readonly #reader: SolanaReader
  readonly #slot: number
  readonly #carried: (signature: string) => Promise<Carried | undefined>
  readonly #lists = new Map<string, Promise<List>>()

  constructor(
    reader: SolanaReader,
    slot: number,
    carried: (signature: string) => Promise<Carried | undefined>,
  ) {
    this.#reader = reader
    this.#slot = slot
    this.#carried = carried
  }

  /**
   * The transaction of an account that carries a signature; of several (a failed one, too) the one that did something.
   * @param since the first slot it can be in
   * @throws ChainError `search_goes_on` when there is more than one look may ask for
   */
  async find(
    account: string,
    signature: string,
    memo: string,
    since: number,
  ): Promise<{ readonly transaction: string; readonly carried: Carried } | undefined> {
    const listed = (await this.#since(account, since)).filter(({ slot }) => slot >= since)
    // A settled payment carries its memo. When a node reports no memo, the transaction is read.
    const fitting = listed.filter((entry) => entry.memo === undefined || entry.memo.includes(memo))
    if (fitting.length > MAX_READ) throw new ChainError('search_goes_on')
    let failed: { readonly transaction: string; readonly carried: Carried } | undefined
    for (const entry of fitting) {
      const carried = await this.#carried(entry.signature)
      // It was listed, so the node has it: another answer is none.
      if (!carried || carried.failed !== entry.failed) throw new ChainError('bad_answer')
      if (!carried.signatures.includes(signature)) continue
      const found = { transaction: entry.signature, carried }
      if (!carried.failed) return found
      failed = found
    }
    return failed
  }

  /** Every final transaction of an account from a slot on, newest first, and maybe earlier ones. */
  async #since(account: string, since: number): Promise<readonly ListedTransaction[]> {
    const before = this.#lists.get(account) ?? Promise.resolve<List>({ entries: [], complete: false })
    const longer = before.then((list) => this.#lengthen(list, account, since))
    this.#lists.set(account, longer)
    return (await longer).entries
  }

  async #lengthen(list: List, account: string, since: number): Promise<List> {
    while (!list.complete && (list.entries.at(-1)?.slot ?? Infinity) >= since) {
      if (list.entries.length >= MAX_PAGES * LIST_PAGE) throw new ChainError('search_goes_on')
      const last = list.entries.at(-1)
      const page = await this.#reader.transactions(account, {
        before: last?.signature,
        minSlot: this.#slot,
      })
      if (last && page.some(({ slot }) => slot > last.slot)) throw new ChainError('bad_answer')
      list.entries.push(...page)
      list.complete = page.length < LIST_PAGE
    }
    return list
  }
}
