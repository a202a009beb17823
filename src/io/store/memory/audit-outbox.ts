/** The audit outbox in memory. */
import type { Charge } from '../../../core/charge/charge.ts'
import type { AuditOutbox } from '../contracts/audit-outbox.ts'
import type { InTransaction } from '../synchronous-store.ts'
import type { ChargeTable } from './charge-table.ts'
import { compare } from './compare.ts'

/** The audit outbox of the memory store. */
export class MemoryAuditOutbox implements InTransaction<AuditOutbox> {
  readonly #table: ChargeTable
  /** The instance that publishes a charge's newest move, by charge. */
  readonly #publishers = new Map<string, string>()

  constructor(table: ChargeTable) {
    this.#table = table
  }

  /** Adds a charge that was moved by an instance; without one nothing is published. */
  add(charge: string, by: string | undefined): void {
    if (by !== undefined) this.#publishers.set(charge, by)
  }

  /** Whether an instance has moves left to publish. */
  isWaitingFor(instance: string): boolean {
    return [...this.#publishers.values()].includes(instance)
  }

  markPublished(charges: readonly Pick<Charge, 'id' | 'state' | 'proof'>[]): void {
    for (const { id, state, proof } of charges) {
      const current = this.#table.get(id)
      if (current?.state === state && current.proof === proof) this.#publishers.delete(id)
    }
  }

  adopt(from: string, to: string): Charge[] {
    const ids = [...this.#publishers].flatMap(([id, instance]) => (instance === from ? [id] : []))
    for (const id of ids) this.#publishers.set(id, to)
    return ids.map((id) => this.#table.entry(id).charge).toSorted((a, b) => compare(a.id, b.id))
  }
}
