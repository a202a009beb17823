/** Puts a payment into the ledger that only the audit file knows: the ledger was put back from a backup. */
import { claimsFor, type BudgetRule, type Spend } from '../../core/budget/budget.ts'
import { namedTags } from '../../core/budget/tag-value.ts'
import type { AuthorizationRecord, ChargeTerms } from '../../core/charge/charge.ts'
import { newChargeId, type RandomBytes } from '../../core/ids.ts'
import { parseAtomic, parseUsd } from '../../core/money/money.ts'
import type { RecordedCharge } from '../audit/audit-charges.ts'
import type { ChargeStore, Move } from '../store/contracts/charges.ts'

/** A payment that the audit files record as signed and not released, and that the ledger does not count. */
export interface ForgottenCharge extends RecordedCharge {
  readonly id: string
  /** What the ledger has of it: nothing, a hold, or a hold that it gave back. */
  readonly known: 'missing' | 'held' | 'released'
}

/** What {@link adoptCharge} works with. */
export interface AdoptContext {
  readonly store: Pick<ChargeStore, 'reserve' | 'authorize' | 'move'>
  readonly rules: readonly BudgetRule[]
  /** The process that owns what it adds. */
  readonly instance: string
  readonly random: RandomBytes
}

/** Adds a payment to the ledger in the state its records give it, in the budget windows of the time it was made. */
export async function adoptCharge(
  { store, rules, instance, random }: AdoptContext,
  charge: ForgottenCharge,
): Promise<void> {
  const at = Date.parse(charge.since)
  const terms = termsOf(charge, { instance, random }, at)
  if (charge.known !== 'held') {
    const tags = listOf(charge.fields['tags'])
    // The money is gone: it counts whatever the limit is.
    const claims = claimsFor(rules, { ...terms, tags, ...namesOf(charge.fields) }, at).map((claim) => ({
      ...claim,
      enforce: false,
    }))
    await store.reserve(terms, claims, false)
  }
  const signed = await store.authorize(terms.id, authorizationOf(charge.fields), at)
  if (typeof signed !== 'string') {
    await store.move(terms.id, { ...moveOf(charge.fields, at), by: instance })
  }
}

function termsOf(
  { id, fields, known }: ForgottenCharge,
  { instance, random }: Pick<AdoptContext, 'instance' | 'random'>,
  at: number,
): ChargeTerms {
  const text = (name: string): string => textOf(fields[name])
  return {
    // A hold that was given back has the id already, and cannot be taken up again.
    id: known === 'released' ? newChargeId(at, random) : id,
    instance,
    requestId: text('request'),
    caller: text('caller'),
    model: text('model'),
    remoteModel: text('remote_model') || undefined,
    ...namedTags(listOf(fields['tags'])),
    route: text('route'),
    payer: text('payer'),
    seller: text('seller'),
    apiBase: text('api_base') || text('seller'),
    network: text('network'),
    asset: text('asset'),
    symbol: text('symbol') || 'USDC',
    decimals: typeof fields['decimals'] === 'number' ? fields['decimals'] : 6,
    payTo: text('pay_to'),
    amount: parseAtomic(fields['amount']) ?? 0n,
    microUsd: parseUsd(fields['usd']),
    reservedAt: at,
    leaseUntil: at + 1,
  }
}

/** What budgets match the payment by, beside its terms. */
function namesOf(fields: ForgottenCharge['fields']): Pick<Spend, 'team' | 'publicModel' | 'tokens'> {
  return {
    team: textOf(fields['team']) || undefined,
    publicModel: textOf(fields['public_model']) || undefined,
    tokens: parseAtomic(fields['max_tokens']),
  }
}

function authorizationOf(fields: ForgottenCharge['fields']): AuthorizationRecord {
  const validBefore = fields['valid_before']
  return {
    from: textOf(fields['from']),
    nonce: textOf(fields['nonce']),
    validAfter: 0,
    validBefore: typeof validBefore === 'number' ? validBefore : 0,
    method: fields['method'] === 'permit2' ? 'permit2' : 'eip3009',
    scheme: fields['scheme'] === 'upto' ? 'upto' : 'exact',
  }
}

/**
 * A record of an older version does not say where its nonce is looked up: the chain must not release what may have been taken,
 * and never releases a payment with a receipt.
 */
function moveOf(fields: ForgottenCharge['fields'], at: number): Move {
  const more = { at, reason: 'adopted', transaction: textOf(fields['transaction']) || undefined }
  if (fields['method'] === undefined) return { ...more, to: 'settled', proof: 'receipt' }
  if (fields['state'] !== 'settled') return { to: 'uncertain', at, reason: 'adopted' }
  const proof = fields['proof'] === 'chain' || fields['proof'] === 'receipt' ? fields['proof'] : 'assumed'
  return { ...more, to: 'settled', proof }
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

function listOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}
