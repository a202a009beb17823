/** Which charge each transaction of a receipt belongs to. */
import type { Charge } from '../../core/charge/charge.ts'
import type { ChargeStore } from '../store/contracts/charges.ts'

/** How many transactions of this process are remembered: far more than answers arrive at once. */
const MOST = 4096

/**
 * Finds receipts that were used before. A transaction takes one payment as far as anyone can tell without the chain, so a
 * receipt that names another charge's transaction proves nothing about this one.
 */
export class ReceiptTransactions {
  readonly #store: Pick<ChargeStore, 'withTransaction'>
  /** Charge ids by transaction: answers that arrive together are told apart before either is in the store. */
  readonly #recent = new Map<string, string>()

  constructor(store: Pick<ChargeStore, 'withTransaction'>) {
    this.#store = store
  }

  /**
   * Notes the transaction of a charge's receipt. Never rejects: the money has moved, whether or not the disk works.
   * @returns the id of another charge that had it before
   */
  async usedBy(
    { id, network }: Pick<Charge, 'id' | 'network'>,
    transaction: string,
  ): Promise<string | undefined> {
    const key = `${network} ${transaction}`
    const first = this.#recent.get(key)
    if (first !== undefined && first !== id) return first
    this.#recent.set(key, id)
    if (this.#recent.size > MOST) this.#recent.delete(this.#recent.keys().next().value ?? '')
    const known = await this.#store.withTransaction(network, transaction).catch(() => [])
    return known.find((charge) => charge.id !== id)?.id
  }
}
