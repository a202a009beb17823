/** Tells the audit file how charges stand after every move, and the store what of that is durable. */
import type { Charge } from '../../core/charge/charge.ts'
import { formatUsd } from '../../core/money/money.ts'
import { AuditQueue, type AuditSink } from '../audit/audit-queue.ts'
import type { Store } from '../store/store.ts'

/** See the file's head. */
export class ChargeTrail {
  readonly #audit: AuditQueue
  readonly #store: Pick<Store, 'told'>
  /** Moves that are in the audit file, and not yet noted as that. */
  readonly #told: Charge[] = []

  /** @param onFailure called when the audit file refuses */
  constructor(sink: AuditSink, store: Pick<Store, 'told'>, onFailure: () => void) {
    this.#audit = new AuditQueue(sink, onFailure)
    this.#store = store
  }

  /** See {@link AuditQueue.write}. */
  async write(type: string, fields: Readonly<Record<string, unknown>>, durable: boolean): Promise<void> {
    await this.#audit.write(type, fields, durable)
  }

  /** See {@link AuditQueue.keep}. */
  async keep(type: string, fields: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#audit.keep(type, fields)
  }

  /** See {@link AuditQueue.flush}. */
  async flush(): Promise<void> {
    await this.#audit.flush()
  }

  /** See {@link AuditQueue.check}. */
  async check(): Promise<void> {
    await this.#audit.check()
  }

  /** Tells how a charge stands after a move. Never rejects: see {@link AuditQueue.keep}. */
  async record(charge: Charge, more: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const fields = { ...chargeFields(charge), ...more }
    await this.#audit.keep(`charge.${charge.state}`, fields, () => this.#told.push(charge))
  }

  /**
   * Notes in the store what the audit file tells durably. What a dead process did not note is told again by
   * another: a crash between a move and its record leaves no gap in the file.
   * @throws TollwayError `store_unavailable`, `audit_unavailable`; it is tried again with the next call
   */
  async noteTold(): Promise<void> {
    const told = this.#told.splice(0)
    if (told.length === 0) return
    try {
      await this.#audit.check()
      await this.#store.told(told)
    } catch (error) {
      this.#told.unshift(...told)
      throw error
    }
  }
}

/** A charge as the audit file tells it: no signature, money as strings. */
export function chargeFields(charge: Charge): Record<string, unknown> {
  return {
    charge: charge.id,
    instance: charge.instance,
    request: charge.requestId,
    caller: charge.caller,
    model: charge.model,
    route: charge.route,
    payer: charge.payer,
    seller: charge.seller,
    network: charge.network,
    asset: charge.asset,
    pay_to: charge.payTo,
    amount: charge.amount.toString(),
    ...(charge.charged === undefined ? {} : { charged: charge.charged.toString() }),
    usd: charge.microUsd === undefined ? null : formatUsd(charge.microUsd),
    state: charge.state,
    proof: charge.proof ?? null,
    reason: charge.reason ?? null,
    from: charge.authorization?.from ?? null,
    nonce: charge.authorization?.nonce ?? null,
    valid_before: charge.authorization?.validBefore ?? null,
    transaction: charge.transaction ?? null,
  }
}
