/** Books what became of charges that nobody waits for any more: what the chain proved, and what dead processes left behind. */
import { IllegalMoveError, type Charge } from '../../core/charge/charge.ts'
import type { Clock } from '../../core/clock.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import type { ChargeFlag, ReconcileDecision, ChainFinding } from '../../core/charge/reconcile.ts'
import { chargeFields, type ChargeTrail } from './charge-trail.ts'
import { isDead } from './instance.ts'
import type { Instance } from '../store/contracts/instances.ts'
import type { Move } from '../store/contracts/charges.ts'
import type { Store } from '../store/store.ts'

/** Flags that say the chain could not be read; they go when it could. */
const PROVISIONAL: readonly ChargeFlag[] = ['event_missing', 'chain_contradiction']

/** What {@link ChargeResolver} works with. */
export interface ChargeResolverContext {
  readonly store: Store
  readonly clock: Clock
  readonly instance: Instance
  readonly trail: ChargeTrail
  readonly emit: Observer
}

/** See the file's head. */
export class ChargeResolver {
  readonly #parts: ChargeResolverContext

  constructor(parts: ChargeResolverContext) {
    this.#parts = parts
  }

  /**
   * Books what the chain said about a charge. Nothing is kept for later when the disk refuses: the next run decides again.
   * @returns the charge when it moved; another process may have been faster
   * @throws TollwayError `store_unavailable`, `audit_unavailable`
   */
  async resolve(charge: Charge, decision: ReconcileDecision): Promise<Charge | undefined> {
    if (decision.action === 'wait') return undefined
    await this.#parts.trail.flush()
    if (decision.action === 'flag') {
      await this.flag(charge, decision.flag)
      return undefined
    }
    const { store, clock, instance } = this.#parts
    const move: Move =
      decision.action === 'settle'
        ? {
            to: 'settled',
            at: clock.now(),
            reason: 'chain_used',
            proof: 'chain',
            transaction: decision.transaction,
            charged: decision.charged,
            by: instance.id,
          }
        : { to: 'released', at: clock.now(), reason: decision.reason, by: instance.id }
    // Before the move: a charge with the chain's proof is never looked at again.
    for (const finding of decision.action === 'settle' ? decision.flags : []) await this.flag(charge, finding)
    let moved: Charge
    try {
      moved = await store.move(charge.id, move)
    } catch (error) {
      if (error instanceof IllegalMoveError) return undefined
      throw error
    }
    const { number, timestamp } = decision.block
    const proof = { block: number.toString(), block_time: timestamp }
    await this.#parts.trail.record(moved, { ...proof, was: charge.state })
    this.#parts.emit({ type: 'charge', charge: moved, from: charge.state })
    const flags = await store.flags({ charge: charge.id })
    if (flags.some(({ flag }) => PROVISIONAL.includes(flag))) await store.unflag(charge.id, PROVISIONAL)
    return moved
  }

  /**
   * Marks a charge for a person to look at; once for each flag.
   * @throws TollwayError `store_unavailable`
   */
  async flag(charge: Charge, finding: ChainFinding): Promise<void> {
    const { store, clock } = this.#parts
    if (!(await store.flag(charge.id, finding, clock.now()))) return
    await this.#parts.trail.keep('charge.flagged', {
      ...chargeFields(charge),
      flag: finding.flag,
      detail: finding.detail,
    })
    this.#parts.emit({ type: 'flagged', charge, finding })
  }

  /** The chain, or a process that took this one for dead, was faster. The record closes the intent in this file. */
  async overtaken(charge: Charge, move: Move): Promise<void> {
    if (charge.state === 'released' && move.proof === 'receipt') {
      const detail = `released (${charge.reason ?? 'no reason'}), and then a receipt said paid`
      await this.flag(charge, { flag: 'receipt_unproven', detail })
    }
    const wanted = { overtaken: move.to, overtaken_reason: move.reason }
    await this.#parts.trail.keep(`charge.${charge.state}`, { ...chargeFields(charge), ...wanted })
  }

  /** Resolves the charges of processes that died: signed ones become uncertain, unsigned ones are released (rule 10). */
  async retireDead(): Promise<Charge[]> {
    const { store, clock, instance } = this.#parts
    const moved: Charge[] = []
    for (const other of await store.instances()) {
      if (other.id === instance.id || !(await isDead(other, instance, clock.now()))) continue
      moved.push(...(await this.retire(other.id, 'instance_dead')))
      // It may have told them and died before it could note so: twice is better than not at all.
      const adopted = await store.outbox.adopt(other.id, instance.id)
      for (const charge of adopted) await this.#parts.trail.record(charge, { told_for: other.id })
    }
    // Not with the next heartbeat: in a crash loop every life would tell again what all before it told.
    await this.#parts.trail.markPublished()
    return moved
  }

  /** Ends one process in the store, and tells what became of its charges. @throws TollwayError `store_unavailable` */
  async retire(id: string, reason: string): Promise<Charge[]> {
    const { store, clock, instance } = this.#parts
    const charges = await store.retire(id, clock.now(), reason, instance.id)
    for (const charge of charges) {
      const from = charge.state === 'uncertain' ? 'authorized' : 'held'
      await this.#parts.trail.record(charge, { was: from })
      this.#parts.emit({ type: 'charge', charge, from })
    }
    return charges
  }
}
