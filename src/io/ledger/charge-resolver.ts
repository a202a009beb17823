/** Resolves charges that no request is waiting for, by what the chain proved. */
import { IllegalMoveError, type Charge } from '../../core/charge/charge.ts'
import type { Clock } from '../../core/clock.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import type { ChargeFlag, ReconcileDecision, ChainFinding } from '../../core/charge/reconcile.ts'
import { chargeFields, type ChargeTrail } from './charge-trail.ts'
import type { Instance } from '../store/contracts/instances.ts'
import type { ChargeStore, Move } from '../store/contracts/charges.ts'
import type { FlagStore } from '../store/contracts/flags.ts'

/** Flags that are removed once the chain resolves the charge: until then the chain's answer was incomplete. */
const PROVISIONAL: readonly ChargeFlag[] = ['event_missing', 'chain_contradiction']

/** What {@link ChargeResolver} works with. */
export interface ChargeResolverContext {
  readonly store: Pick<ChargeStore, 'move'> & Pick<FlagStore, 'flag' | 'flags' | 'unflag'>
  readonly clock: Clock
  readonly instance: Instance
  readonly trail: ChargeTrail
  readonly emit: Observer
}

/** Moves charges of other requests and processes. */
export class ChargeResolver {
  readonly #context: ChargeResolverContext

  constructor(context: ChargeResolverContext) {
    this.#context = context
  }

  /**
   * Applies a decision that the chain's answer led to. Nothing is queued when the disk refuses: the next run decides again.
   * @param pin whether a proven payment pins its payee when the seller has none yet
   * @returns the charge if it moved; `undefined` when it stays or another process moved it first
   * @throws TollwayError `store_unavailable`, `audit_unavailable`
   */
  async resolve(charge: Charge, decision: ReconcileDecision, pin = false): Promise<Charge | undefined> {
    if (decision.action === 'wait') return undefined
    await this.#context.trail.flush()
    if (decision.action === 'flag') {
      await this.flag(charge, decision.flag)
      return undefined
    }
    const { store, clock, instance } = this.#context
    const move: Move =
      decision.action === 'settle'
        ? {
            to: 'settled',
            at: clock.now(),
            reason: 'chain_used',
            proof: 'chain',
            transaction: decision.transaction,
            charged: decision.charged,
            pin,
            by: instance.id,
          }
        : { to: 'released', at: clock.now(), reason: decision.reason, by: instance.id }
    // Before the move: a charge with proof `chain` is never checked again.
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
    await this.#context.trail.record(moved, { ...proof, was: charge.state })
    this.#context.emit({ type: 'charge', charge: moved, from: charge.state })
    const flags = await store.flags({ charge: charge.id })
    if (flags.some(({ flag }) => PROVISIONAL.includes(flag))) await store.unflag(charge.id, PROVISIONAL)
    return moved
  }

  /**
   * Flags a charge for review; once per flag.
   * @throws TollwayError `store_unavailable`
   */
  async flag(charge: Charge, finding: ChainFinding): Promise<void> {
    const { store, clock } = this.#context
    if (!(await store.flag(charge.id, finding, clock.now()))) return
    await this.#context.trail.keep('charge.flagged', {
      ...chargeFields(charge),
      flag: finding.flag,
      detail: finding.detail,
    })
    this.#context.emit({ type: 'flagged', charge, finding })
  }

  /**
   * Records that another process moved the charge first: because the chain resolved it, or because this process appeared dead.
   * The record closes the charge in this process's audit file.
   */
  async overtaken(charge: Charge, move: Move): Promise<void> {
    if (charge.state === 'released' && move.proof === 'receipt') {
      const detail = `released (${charge.reason ?? 'no reason'}), but a later receipt reports payment`
      await this.flag(charge, { flag: 'receipt_unproven', detail })
    }
    const wanted = { overtaken: move.to, overtaken_reason: move.reason }
    await this.#context.trail.keep(`charge.${charge.state}`, { ...chargeFields(charge), ...wanted })
  }
}
