/** The texts of a budget: the message of a refusal, and how amounts, subjects and windows are written. */
import type { BudgetAsset, Claim, Totals } from './budget.ts'
import { formatUnits } from '../money/money.ts'
import { formatWindow, type Window } from './window.ts'

const TITLE: Readonly<Record<Window, string>> = {
  request: 'Usage limit reached',
  hour: 'Usage limit reached',
  day: 'Daily spending limit reached',
  week: 'Weekly spending limit reached',
  month: 'Monthly spending limit reached',
  lifetime: 'Usage limit reached',
  rolling: 'Usage limit reached',
}

/**
 * The message of a budget refusal. Clients such as OpenClaw classify a 402 by its wording: "Daily spending limit reached …
 * resets" is shown verbatim and locks nothing; other phrases disable the key for minutes.
 * @param freeAt rolling windows only: when enough has aged out, milliseconds since the epoch
 */
export function refusalMessage(claim: Claim, totals: Totals, freeAt?: number): string {
  const money = (amount: bigint): string => formatMoney(amount, claim.asset)
  const pending = totals.held + totals.authorized + totals.uncertain
  const facts = `${money(claim.amount)} wanted, ${money(totals.spent)} spent and ${money(pending)} pending of ${money(claim.limit)}`
  return `${TITLE[claim.window]}: budget ${describeBudget(claim)}: ${facts}${whichWindow(claim)}; ${whenAgain(claim, freeAt)}`
}

/** What the pending part of a refusal is, and how it becomes free; empty when nothing is pending. */
export function pendingAdvice(claim: Pick<Claim, 'asset'>, totals: Totals): readonly string[] {
  const money = (amount: bigint): string => formatMoney(amount, claim.asset)
  const running = totals.held + totals.authorized
  if (running + totals.uncertain === 0n) return []
  const shares = [
    ...(running > 0n ? [`${money(running)} of requests under way`] : []),
    ...(totals.uncertain > 0n ? [`${money(totals.uncertain)} of payments whose outcome is unknown`] : []),
  ]
  const free =
    totals.uncertain > 0n
      ? [
          'A node of their network, such as chains: { base: { rpc: "${env:BASE_RPC}" } }, lets the gateway, or `tollway reconcile`, free those that were not taken.',
        ]
      : []
  return [`Pending is ${shares.join(' and ')}.`, ...free]
}

/** `all`, or `per-caller (caller openclaw)`. */
export function describeBudget({ budget, per, subject }: Pick<Claim, 'budget' | 'per' | 'subject'>): string {
  return per === undefined ? budget : `${budget} (${per} ${subject})`
}

/** `$0.001`, or `0.5 OBOL`. */
export function formatMoney(amount: bigint, asset: BudgetAsset | undefined): string {
  return asset === undefined
    ? `$${formatUnits(amount, 6)}`
    : `${formatUnits(amount, asset.decimals)} ${asset.symbol}`
}

/** Milliseconds since the epoch as ISO 8601, without `.000`. */
export function formatInstant(at: number): string {
  return new Date(at).toISOString().replace('.000', '')
}

function whichWindow(claim: Claim): string {
  return claim.window === 'rolling' ? ` in ${formatWindow(claim)}` : ''
}

function whenAgain(claim: Claim, freeAt: number | undefined): string {
  const { windowEnd: end } = claim
  switch (claim.window) {
    case 'day':
    case 'week':
    case 'month':
      return end === undefined ? 'resets later' : `resets ${formatInstant(end)}`
    case 'hour':
      return end === undefined ? 'try again later' : `try again ${formatInstant(end)}`
    case 'rolling':
      return freeAt === undefined ? 'try again with a cheaper request' : `try again ${formatInstant(freeAt)}`
    case 'request':
      return 'try again with a cheaper request'
    case 'lifetime':
      return 'try again once the limit is raised'
    default:
      return claim.window satisfies never
  }
}
