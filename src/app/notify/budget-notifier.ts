/** Tells an operator's webhook of budgets that reach a share of their limit (`notify.at`): once for each subject, window and level. */
import { createHash } from 'node:crypto'
import { counted, type Claim, type Totals } from '../../core/budget/budget.ts'
import { describeBudget, formatInstant, formatMoney } from '../../core/budget/budget-messages.ts'
import { formatLevel, levelReached, WHOLE_LEVEL } from '../../core/budget/notice-level.ts'
import { formatWindow } from '../../core/budget/window.ts'
import type { Clock } from '../../core/clock.ts'
import { formatUnits } from '../../core/money/money.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import type { BudgetStore } from '../../io/store/contracts/budgets.ts'
import type { Notifier } from './notifier.ts'

/** The most levels that are known without asking the ledger. */
const MAX_KNOWN = 10_000

/** What {@link budgetNotifier} works with. */
export interface BudgetNotifierContext {
  readonly notifier: Pick<Notifier, 'send'>
  /** Remembers what was announced, also for other gateways and after a restart. */
  readonly store: Pick<BudgetStore, 'announce'>
  /** Those in force, millionths; none for no messages. */
  readonly levels: () => readonly bigint[]
  readonly clock: Clock
  /** Receives what the store throws: the level is announced with the next claim then. */
  readonly failed: (error: unknown) => void
}

/** Give it to the ledger. A refusal counts as the highest level: what was asked for does not fit any more. */
export function budgetNotifier(context: BudgetNotifierContext): Observer {
  const known = new Map<string, number>()
  return (event) => {
    if (event.type !== 'budget_level' && event.type !== 'budget_refused') return
    const { claim, totals } = event
    // A limit per request is never used up.
    if (claim.window === 'request') return
    const levels = context.levels()
    const isRefusal = event.type === 'budget_refused'
    const level = isRefusal && levels.includes(WHOLE_LEVEL) ? WHOLE_LEVEL : undefined
    const reached = level ?? levelReached(levels, counted(totals), claim.limit)
    if (reached === undefined) return
    const now = context.clock.now()
    const key = JSON.stringify([claim.budget, claim.subject, claim.window, startOf(claim), String(reached)])
    if ((known.get(key) ?? 0) > now) return
    known.set(key, claim.window === 'rolling' ? now + (claim.lengthMs ?? 0) : Infinity)
    for (const [oldest] of known) {
      if (known.size <= MAX_KNOWN) break
      known.delete(oldest)
    }
    announce(context, { claim, totals, level: reached, levels, isRefusal, at: now }).catch(
      (error: unknown) => {
        known.delete(key)
        context.failed(error)
      },
    )
  }
}

interface Announcement {
  readonly claim: Claim
  readonly totals: Totals
  readonly level: bigint
  readonly levels: readonly bigint[]
  readonly isRefusal: boolean
  readonly at: number
}

async function announce({ store, notifier }: BudgetNotifierContext, what: Announcement): Promise<void> {
  const { claim, level, levels } = what
  // Kept before the level counts as told: a process that is killed between the two tells it twice, never not at all.
  await notifier.send('budget', messageId(what), contentOf(what), async () => {
    if (!(await store.announce(claim, level))) return false
    // The message tells of those below too.
    for (const lower of levels) if (lower < level) await store.announce(claim, lower)
    return true
  })
}

/** The windows of a rolling budget have no start in common. */
function startOf({ window, windowStart }: Claim): number {
  return window === 'rolling' ? 0 : windowStart
}

function messageId({ claim, level }: Announcement): string {
  const { budget, subject, window, windowStart } = claim
  const parts = JSON.stringify([budget, subject, window, windowStart, String(level)])
  return `msg_${createHash('sha256').update(parts).digest('hex').slice(0, 32)}`
}

function contentOf({ claim, totals, level, isRefusal, at }: Announcement) {
  const { budget, per, subject, asset, windowEnd } = claim
  const amount = (units: bigint): string => formatUnits(units, asset?.decimals ?? 6)
  const sum = counted(totals)
  return {
    type: isRefusal ? 'budget.refused' : 'budget.level',
    at,
    text: textOf(claim, sum, isRefusal),
    data: {
      budget,
      per: per ?? null,
      subject,
      window: formatWindow(claim),
      window_end: windowEnd === undefined ? null : formatInstant(windowEnd),
      level: formatLevel(level),
      unit: asset?.symbol ?? 'USD',
      limit: amount(claim.limit),
      counted: amount(sum),
      spent: amount(totals.spent),
      pending: amount(sum - totals.spent),
      enforced: claim.enforce !== false,
      ...(isRefusal ? { refused: amount(claim.amount) } : {}),
    },
  }
}

function textOf(claim: Claim, sum: bigint, isRefusal: boolean): string {
  const money = (units: bigint): string => formatMoney(units, claim.asset)
  const facts = `${money(sum)} of ${money(claim.limit)} counted in this window (${formatWindow(claim)})`
  const name = `Budget ${describeBudget(claim)}`
  if (isRefusal) return `${name} refused a call of up to ${money(claim.amount)}: ${facts}.`
  const share = claim.limit === 0n ? 0n : (sum * 100n) / claim.limit
  return `${name} is used to ${share} %: ${facts}${claim.enforce === false ? '; it is not enforced' : ''}.`
}
