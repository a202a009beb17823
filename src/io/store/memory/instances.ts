/** Instances in memory. */
import type { Charge } from '../../../core/charge/charge.ts'
import type { Instance, InstanceStore } from '../contracts/instances.ts'
import { retiredCharge, unknownInstance } from '../rules/charge-rules.ts'
import type { InTransaction } from '../synchronous-store.ts'
import type { MemoryAuditOutbox } from './audit-outbox.ts'
import type { ChargeTable } from './charge-table.ts'
import type { MemoryCharges } from './charges.ts'
import { byReservation, compare } from './compare.ts'

/** The instances of the memory store. */
export class MemoryInstances implements InTransaction<InstanceStore> {
  readonly #table: ChargeTable
  readonly #charges: MemoryCharges
  readonly #outbox: MemoryAuditOutbox
  readonly #instances = new Map<string, { readonly instance: Instance; readonly retired: boolean }>()

  constructor(table: ChargeTable, charges: MemoryCharges, outbox: MemoryAuditOutbox) {
    this.#table = table
    this.#charges = charges
    this.#outbox = outbox
  }

  register(instance: Instance): void {
    this.#instances.set(instance.id, { instance: { ...instance }, retired: false })
  }

  heartbeat(id: string, at: number): void {
    const known = this.#instances.get(id)
    if (!known) throw unknownInstance(id)
    this.#instances.set(id, { ...known, instance: { ...known.instance, heartbeatAt: at } })
  }

  instances(): Instance[] {
    return [...this.#instances.values()]
      .filter(
        ({ instance: { id }, retired }) =>
          !retired || this.#table.openOf(id).length > 0 || this.#outbox.isWaitingFor(id),
      )
      .map(({ instance }) => instance)
      .toSorted((a, b) => a.startedAt - b.startedAt || compare(a.id, b.id))
  }

  retire(id: string, at: number, reason: string, by?: string): Charge[] {
    const moved: Charge[] = []
    for (const before of this.#table.openOf(id)) {
      const charge = retiredCharge(before, at, reason)
      if (!charge) continue
      this.#charges.change(charge)
      this.#outbox.add(charge.id, by)
      moved.push(charge)
    }
    const known = this.#instances.get(id)
    if (known) this.#instances.set(id, { ...known, retired: true })
    return moved.toSorted(byReservation)
  }
}
