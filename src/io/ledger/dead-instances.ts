/** Takes over the charges of processes that died (rule 10). */
import type { Charge } from '../../core/charge/charge.ts'
import type { Clock } from '../../core/clock.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import type { AuditOutbox } from '../store/contracts/audit-outbox.ts'
import type { Instance, InstanceStore } from '../store/contracts/instances.ts'
import type { ChargeTrail } from './charge-trail.ts'
import { isDead } from './instance.ts'

/** What {@link DeadInstances} works with. */
export interface DeadInstancesContext {
  readonly store: Pick<InstanceStore, 'instances' | 'retire'> & {
    readonly outbox: Pick<AuditOutbox, 'adopt'>
  }
  readonly clock: Clock
  readonly instance: Instance
  readonly trail: ChargeTrail
  readonly emit: Observer
}

/** The charges of other processes that no longer run, and of this one when it closes. */
export class DeadInstances {
  readonly #context: DeadInstancesContext

  constructor(context: DeadInstancesContext) {
    this.#context = context
  }

  /** Resolves the charges of dead processes: signed ones become uncertain, unsigned ones are released (rule 10). */
  async retireDead(): Promise<Charge[]> {
    const { store, clock, instance } = this.#context
    const moved: Charge[] = []
    for (const other of await store.instances()) {
      if (other.id === instance.id || !(await isDead(other, instance, clock.now()))) continue
      moved.push(...(await this.retire(other.id, 'instance_dead')))
      // The dead process may have recorded them without marking them: two records are better than none.
      const adopted = await store.outbox.adopt(other.id, instance.id)
      for (const charge of adopted) await this.#context.trail.record(charge, { told_for: other.id })
    }
    // Now, not with the next heartbeat: in a crash loop every start would record all of them again.
    await this.#context.trail.markPublished()
    return moved
  }

  /** Retires one instance in the store and records how its charges moved. @throws TollwayError `store_unavailable` */
  async retire(id: string, reason: string): Promise<Charge[]> {
    const { store, clock, instance } = this.#context
    const charges = await store.retire(id, clock.now(), reason, instance.id)
    for (const charge of charges) {
      const from = charge.state === 'released' ? 'held' : 'authorized'
      await this.#context.trail.record(charge, { was: from })
      this.#context.emit({ type: 'charge', charge, from })
    }
    return charges
  }
}
