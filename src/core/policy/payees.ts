/** Whom a seller may be paid at (rule 6), and how to allow another payee. */
import { findNetwork } from '../money/assets.ts'
import { canonicalAddress } from '../money/address.ts'

/**
 * Lets a seller name another payee in each request, as sellers with deposit addresses do. What it may take stays bounded by
 * origin, network, token, ceiling and budgets, and addresses that no seller can have stay refused.
 */
export const ANY_PAYEE = 'any'

/** The payees that a configuration allows a seller: addresses as they are compared, or {@link ANY_PAYEE}. */
export type AllowedPayees = readonly string[] | typeof ANY_PAYEE

/** What a refused payee is about. */
export interface PayeeRefusal {
  /** Scheme, host and port. */
  readonly origin: string
  /** Where the refusal comes from: the api_base that payees are pinned for; `undefined` when the configuration lists them. */
  readonly pinnedFor: string | undefined
  /** The network by CAIP-2, and the payee as the seller wrote it. */
  readonly offer: { readonly network: string; readonly payTo: string }
  /** Whether the route itself names its payees. */
  readonly isRoutesOwn?: boolean | undefined
  /** The payees that are allowed. */
  readonly listed?: readonly string[] | undefined
}

/** How to allow the payee that was refused, and how to allow every payee of this seller. */
export function payeeAdvice({ origin, offer, pinnedFor, isRoutesOwn, listed = [] }: PayeeRefusal): string[] {
  if (isRoutesOwn === true)
    return [
      'If the seller really changed its payee, change pin.pay_to of the route, and what policy.sellers lists.',
    ]
  const { network, payTo } = offer
  const line = `policy: { sellers: { "${origin}": { pay_to: any } } }`
  if (pinnedFor === undefined) {
    const added = canonicalAddress(network, payTo)
    const all = [...listed, ...(added === undefined ? [] : [added])].map((payee) => `"${payee}"`)
    return [
      added === undefined
        ? 'If the seller really changed its payee, change pay_to under policy.sellers.'
        : `If the seller really changed its payee, write policy: { sellers: { "${origin}": { pay_to: [${all.join(', ')}] } } }.`,
      `If it names another payee in each request, write ${line}.`,
    ]
  }
  const trust = `tollway sellers trust ${pinnedFor}`
  const there = `--network ${findNetwork(network)?.alias ?? network}`
  // For people to copy into a shell: a seller's text appears there only if it is an address.
  const payee = canonicalAddress(network, payTo) ?? '<payee>'
  return [
    `If the seller really changed its payee, run \`${trust} ${payee} ${there}\`.`,
    `If it names another payee in each request, run \`${trust} --any-payee ${there}\`, or write ${line}.`,
  ]
}
