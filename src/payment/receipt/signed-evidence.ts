/**
 * What a seller signed about a payment (extension `offer-receipt`): checked, kept in the audit record where the payee's own key
 * signed it, and flagged in the ledger where it contradicts what was paid. It decides nothing about money: only the chain proves.
 */
import type { Charge } from '../../core/charge/charge.ts'
import type { ChainFinding } from '../../core/charge/reconcile.ts'
import { canonicalAddress } from '../../core/money/address.ts'
import { property } from '../../core/property.ts'
import type { Exchange } from '../../core/request/exchange.ts'
import { HEADERS } from '../../core/x402/payment-headers.ts'
import {
  contradictions,
  signedReceipt,
  type PaidTerms,
  type SignedStatement,
} from '../../core/x402/signed-statements.ts'
import { decodeBase64Json } from '../../core/x402/wire-json.ts'
import { MAX_CHALLENGE_BYTES } from '../../core/x402/x402.ts'
import type { IncomingReply } from '../../io/transport/upstream.ts'
import { headerOf } from '../answer/read-reply.ts'
import { statementSigner } from '../../io/signer/statement-signer.ts'
import type { Quote } from '../../core/policy/gate.ts'

/** A payment, and what its seller signed. */
export interface EvidenceFacts {
  readonly charge: Charge
  readonly quote: Pick<Quote, 'offer' | 'resource'>
  /** The signed offers of the 402. */
  readonly offers: readonly (SignedStatement | 'unreadable')[]
  /** The address that was called. */
  readonly url: string
  /** The transaction that the seller's receipt names. */
  readonly transaction: string | undefined
  /** What must be written nowhere (rule 8). */
  readonly secrets: readonly string[]
}

/**
 * Checks what the seller signed, and notes it in the record and the answer. Never rejects: the money is booked already.
 * @param now milliseconds since the epoch
 * @returns what a person should look at
 */
export async function noteEvidence(
  exchange: Exchange,
  facts: EvidenceFacts,
  answer: IncomingReply,
  now: number,
): Promise<ChainFinding[]> {
  try {
    return await checkAll(exchange, facts, answer, now)
  } catch (error) {
    exchange.record.details['evidence_error'] = error instanceof Error ? error.name : 'unknown'
    return []
  }
}

async function checkAll(
  exchange: Exchange,
  facts: EvidenceFacts,
  answer: IncomingReply,
  now: number,
): Promise<ChainFinding[]> {
  const receipt = receiptOf(answer)
  if (facts.offers.length === 0 && receipt === undefined) return []
  const paid = termsOf(facts, now)
  const offer = await best(facts.offers, paid)
  const found = [
    ...(offer === undefined ? [] : [{ kind: 'offer' as const, ...offer }]),
    ...(receipt === undefined ? [] : [{ kind: 'receipt' as const, ...(await check(receipt, paid)) }]),
  ]
  const { details } = exchange.record
  for (const { kind, result, kept } of found) {
    details[`signed_${kind}_check`] = result
    if (kept && !holdsSecret(kept.content, facts.secrets)) details[`signed_${kind}`] = kept.text
  }
  exchange.payment.evidence = found.map(({ kind, result }) => `${kind}=${result}`).join(', ') || undefined
  return found.flatMap(({ kind, result, why }) =>
    result === 'wrong'
      ? [{ flag: 'evidence_wrong' as const, detail: `the seller's signed ${kind} ${why ?? ''}` }]
      : [],
  )
}

/** Whether a text has a part of the payment in it, whatever stands between its characters. */
function holdsSecret(text: string, secrets: readonly string[]): boolean {
  const plain = plainOf(text)
  return secrets.some((secret) => plain.includes(plainOf(secret)))
}

function plainOf(text: string): string {
  return text.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
}

function termsOf({ charge, quote, url, transaction }: EvidenceFacts, now: number): PaidTerms {
  const resource = property(quote.resource, 'url')
  return {
    offer: quote.offer,
    payer: charge.authorization?.from ?? '',
    resources: [url, ...(typeof resource === 'string' ? [resource] : [])],
    transaction,
    now: Math.floor(now / 1000),
  }
}

function receiptOf(answer: IncomingReply): SignedStatement | 'unreadable' | undefined {
  const value = headerOf(answer, HEADERS.response) ?? headerOf(answer, HEADERS.responseV1)
  if (value === undefined || value.length > MAX_CHALLENGE_BYTES) return undefined
  return signedReceipt(decodeBase64Json(value))
}

interface Checked {
  /** `verified`: signed by the payee. `other_signer`, `not_resolved`: by a key that is not known to be the seller's. */
  readonly result: 'verified' | 'other_signer' | 'not_resolved' | 'wrong'
  readonly why?: string
  /** The statement, where the payee signed it. */
  readonly kept?: SignedStatement
}

async function check(statement: SignedStatement | 'unreadable', paid: PaidTerms): Promise<Checked> {
  if (statement === 'unreadable') return { result: 'wrong', why: 'cannot be read' }
  const differing = contradictions(statement, paid)
  if (differing.length > 0)
    return { result: 'wrong', why: `differs from what was paid in: ${differing.join(', ')}` }
  const signer = await statementSigner(statement)
  if (signer === 'wrong') return { result: 'wrong', why: 'carries a signature that is not over its content' }
  if (signer === 'not_resolved') return { result: 'not_resolved' }
  const { network, payTo } = paid.offer
  const isPayee = signer !== 'other_key' && signer.address === (canonicalAddress(network, payTo) ?? payTo)
  return isPayee ? { result: 'verified', kept: statement } : { result: 'other_signer' }
}

/** Of the signed offers the one about what was paid: the best there is, since the list may be in any order. */
async function best(
  offers: readonly (SignedStatement | 'unreadable')[],
  paid: PaidTerms,
): Promise<Checked | undefined> {
  const about = offers.filter(
    (offer) => offer === 'unreadable' || !contradictions(offer, paid).includes('network'),
  )
  const fitting = about.find((offer) => offer !== 'unreadable' && contradictions(offer, paid).length === 0)
  const [first] = about
  const chosen = fitting ?? first
  return chosen === undefined ? undefined : await check(chosen, paid)
}
