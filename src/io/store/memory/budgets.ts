/** Budget sums in memory. A rolling window is added up charge by charge: slow, and obviously correct. */
import {
  addTotals,
  counted,
  moveTotals,
  NO_TOTALS,
  type Claim,
  type Totals,
} from '../../../core/budget/budget.ts'
import type { ChargeState } from '../../../core/charge/charge.ts'
import { WINDOWS } from '../../../core/budget/window.ts'
import { listedSubjects, MAX_READ_SUBJECTS } from '../rules/budget-subjects.ts'
import { countsFrom, announcedWindow, noticeRange } from '../rules/rolling-window.ts'
import {
  moveShares,
  windowId,
  type Share,
  type TotalsReader,
  type TotalsChange,
  type WindowKey,
} from '../rules/charge-rules.ts'
import type { BudgetStore, BudgetWindow, SubjectTotals } from '../contracts/budgets.ts'
import type { Notice } from '../contracts/charges.ts'
import type { InTransaction } from '../synchronous-store.ts'
import { compare } from './compare.ts'

interface RollingShare {
  readonly charge: string
  readonly share: Share
}

/** The budget sums of the memory store. */
export class MemoryBudgets implements TotalsReader, InTransaction<BudgetStore> {
  readonly #stateOf: (charge: string) => ChargeState
  readonly #sums = new Map<string, TotalsChange>()
  /** By budget and subject, by the instant of the reservation. */
  readonly #rolling = new Map<string, RollingShare[]>()
  /** Windows in which a soft limit was reported; rolling ones by the instant of the report. */
  readonly #notified: {
    readonly budget: string
    readonly subject: string
    readonly name: string
    readonly windowStart: number
  }[] = []

  /** @param stateOf the state of a charge that has shares here */
  constructor(stateOf: (charge: string) => ChargeState) {
    this.#stateOf = stateOf
  }

  readonly at = (key: WindowKey): Totals | undefined => this.#sums.get(windowId(key))?.totals

  readonly against = (claim: Claim): Totals =>
    claim.window === 'rolling'
      ? this.#counting(claim).reduce((sum, one) => addTotals(sum, this.#totalsOf(one)), NO_TOTALS)
      : (this.at(claim) ?? NO_TOTALS)

  readonly keysOf = (share: Share): readonly WindowKey[] => (share.window === 'rolling' ? [] : [share])

  /** Keeps the shares of a new charge and the sums that include it. */
  take(charge: string, shares: readonly Share[], changes: readonly TotalsChange[]): void {
    for (const share of shares.filter(({ window }) => window === 'rolling')) {
      const list = this.#listOf(share)
      this.#rolling.set(subjectId(share), list)
      const after = list.findLastIndex((other) => other.share.windowStart <= share.windowStart)
      list.splice(after + 1, 0, { charge, share })
    }
    this.#write(changes)
  }

  /** @param left the shares as they are afterwards */
  move(
    charge: string,
    shares: readonly Share[],
    from: ChargeState,
    to: ChargeState,
    left: readonly Share[],
  ): void {
    this.#write(moveShares(shares, from, to, this, left))
    if (left === shares) return
    for (const [index, share] of shares.entries()) {
      const list = this.#listOf(share)
      const at = list.findIndex((one) => one.charge === charge && one.share === share)
      const after = left[index]
      if (at !== -1 && after) list[at] = { charge, share: after }
    }
  }

  /** The notices that were not reported yet: a soft limit is reported once per window and subject. */
  notify(passed: readonly Notice[]): Notice[] {
    return passed.filter(({ kind, claim }) => {
      return kind !== 'soft' || this.#isFirst(claim, claim.window)
    })
  }

  announce(claim: Claim, level: bigint): boolean {
    return this.#isFirst(claim, announcedWindow(claim, level))
  }

  #isFirst(claim: Claim, name: string): boolean {
    const { budget, subject, windowStart } = claim
    const { from, to } = noticeRange(claim)
    const isKnown = this.#notified.some(
      (key) =>
        key.budget === budget &&
        key.subject === subject &&
        key.name === name &&
        key.windowStart >= from &&
        key.windowStart <= to,
    )
    if (!isKnown) this.#notified.push({ budget, subject, name, windowStart })
    return !isKnown
  }

  totals(claims: readonly Claim[]): Totals[] {
    return claims.map((claim) => this.against(claim))
  }

  freeAt(claim: Claim): number | undefined {
    if (claim.window !== 'rolling' || claim.amount > claim.limit) return undefined
    let excess = counted(this.against(claim)) + claim.amount - claim.limit
    if (excess <= 0n) return claim.windowStart
    const last = this.#counting(claim).find((one) => (excess -= counted(this.#totalsOf(one))) <= 0n)
    return last && last.share.windowStart + (claim.lengthMs ?? 0)
  }

  subjects(claim: Claim): SubjectTotals[] {
    const keys =
      claim.window === 'rolling'
        ? [...this.#rolling.values()].flatMap((list) => list[0]?.share ?? [])
        : [...this.#sums.values()].map(({ key }) => key)
    const names = keys.filter(({ budget }) => budget === claim.budget).map(({ subject }) => subject)
    const found = [...new Set(names)]
      .toSorted()
      .slice(0, MAX_READ_SUBJECTS)
      .map((subject) => ({ subject, totals: this.against({ ...claim, subject }) }))
    return listedSubjects(found)
  }

  windows(since: number): BudgetWindow[] {
    const found = [...this.#sums.values()].flatMap(({ key, totals }) => {
      const window = WINDOWS.find((name) => name === key.window)
      if (window === undefined || key.windowStart < since) return []
      const { budget, subject, windowStart } = key
      return [{ budget, subject, window, windowStart, totals }]
    })
    return found.toSorted(
      (a, b) =>
        compare(a.budget, b.budget) ||
        compare(a.subject, b.subject) ||
        compare(a.window, b.window) ||
        a.windowStart - b.windowStart,
    )
  }

  /** The shares that count against a rolling claim, oldest first. */
  #counting(claim: Claim): RollingShare[] {
    const list = this.#listOf(claim)
    const from = countsFrom(claim)
    return list.slice(list.findLastIndex(({ share }) => share.windowStart < from) + 1)
  }

  #listOf(key: Pick<WindowKey, 'budget' | 'subject'>): RollingShare[] {
    return this.#rolling.get(subjectId(key)) ?? []
  }

  #totalsOf({ charge, share }: RollingShare): Totals {
    return moveTotals(NO_TOTALS, undefined, this.#stateOf(charge), share.amount)
  }

  #write(changes: readonly TotalsChange[]): void {
    for (const change of changes) this.#sums.set(windowId(change.key), change)
  }
}

function subjectId({ budget, subject }: Pick<WindowKey, 'budget' | 'subject'>): string {
  return JSON.stringify([budget, subject])
}
