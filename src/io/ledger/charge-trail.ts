/** Writes every move of a charge to the audit file, and marks in the store's outbox which moves are durable there. */
import type { Charge } from '../../core/charge/charge.ts'
import { formatUsd } from '../../core/money/money.ts'
import { AuditQueue, type AuditSink } from '../audit/audit-queue.ts'
import type { ReserveTerms } from './ledger-context.ts'
import type { AuditOutbox } from '../store/contracts/audit-outbox.ts'

/** The audit records of charges. */
export class ChargeTrail {
  readonly #audit: AuditQueue
  readonly #outbox: AuditOutbox
  /** Charges whose record is written to the audit file but not yet marked as published. */
  readonly #written: Charge[] = []

  /** @param onFailure called when the audit file refuses */
  constructor(sink: AuditSink, outbox: AuditOutbox, onFailure: () => void) {
    this.#audit = new AuditQueue(sink, onFailure)
    this.#outbox = outbox
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

  /** Records a charge after a move. Never rejects: see {@link AuditQueue.keep}. */
  async record(charge: Charge, more: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const fields = { ...chargeFields(charge), ...more }
    await this.#audit.keep(`charge.${charge.state}`, fields, () => this.#written.push(charge))
  }

  /**
   * Marks in the outbox which moves the audit file durably holds. Moves that a dead process did not mark are recorded again by
   * another process: a crash between a move and its record leaves no gap in the file.
   * @throws TollwayError `store_unavailable`, `audit_unavailable`; the next call tries again
   */
  async markPublished(): Promise<void> {
    const written = this.#written.splice(0)
    if (written.length === 0) return
    try {
      await this.#audit.check()
      await this.#outbox.markPublished(written)
    } catch (error) {
      this.#written.unshift(...written)
      throw error
    }
  }
}

/** A new charge as the audit file records it, with what budgets matched it by. */
export function heldFields(
  charge: Charge,
  { tags = [], team, publicModel, tokens }: ReserveTerms,
): Record<string, unknown> {
  return {
    ...chargeFields(charge),
    tags,
    ...(team === undefined ? {} : { team }),
    ...(publicModel === undefined || publicModel === charge.model ? {} : { public_model: publicModel }),
    ...(tokens === undefined ? {} : { max_tokens: tokens.toString() }),
  }
}

/** A charge as the audit file records it: no signature, money as strings. */
export function chargeFields(charge: Charge): Record<string, unknown> {
  return {
    charge: charge.id,
    instance: charge.instance,
    request: charge.requestId,
    caller: charge.caller,
    model: charge.model,
    ...(charge.remoteModel === undefined ? {} : { remote_model: charge.remoteModel }),
    route: charge.route,
    payer: charge.payer,
    seller: charge.seller,
    api_base: charge.apiBase,
    network: charge.network,
    asset: charge.asset,
    symbol: charge.symbol,
    decimals: charge.decimals,
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
    method: charge.authorization && (charge.authorization.method ?? 'eip3009'),
    scheme: charge.authorization && (charge.authorization.scheme ?? 'exact'),
    transaction: charge.transaction ?? null,
  }
}
