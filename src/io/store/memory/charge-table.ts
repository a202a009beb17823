/** The charges of the memory store by id, with their budget shares and nonces. Its parts share it. */
import type { Charge } from '../../../core/charge/charge.ts'
import { unknownCharge, type Share } from '../rules/charge-rules.ts'

/** A charge and what it takes of budgets. */
export interface ChargeEntry {
  readonly charge: Charge
  readonly shares: readonly Share[]
}

/** What identifies an authorization. */
interface Nonce {
  readonly from: string
  readonly network: string
  readonly asset: string
  readonly nonce: string
}

/** Charges by id. */
export class ChargeTable {
  readonly #entries = new Map<string, ChargeEntry>()
  readonly #nonces = new Set<string>()

  /** Every charge, in the order they were reserved. */
  all(): Charge[] {
    return [...this.#entries.values()].map(({ charge }) => charge)
  }

  get(id: string): Charge | undefined {
    return this.#entries.get(id)?.charge
  }

  /** @throws Error when there is no such charge */
  entry(id: string): ChargeEntry {
    const entry = this.#entries.get(id)
    if (!entry) throw unknownCharge(id)
    return entry
  }

  set(entry: ChargeEntry): void {
    this.#entries.set(entry.charge.id, entry)
  }

  /** Charges of an instance that are `held` or `authorized`. */
  openOf(instance: string): Charge[] {
    return this.all().filter(
      (charge) => charge.instance === instance && (charge.state === 'held' || charge.state === 'authorized'),
    )
  }

  /** Whether an authorization was recorded with a charge. */
  isRecorded(nonce: Nonce): boolean {
    return this.#nonces.has(nonceId(nonce))
  }

  /** Records an authorization: a nonce is used once, for ever (rule 5). */
  record(nonce: Nonce): void {
    this.#nonces.add(nonceId(nonce))
  }
}

function nonceId({ from, network, asset, nonce }: Nonce): string {
  return JSON.stringify([from, network, asset, nonce])
}
