/** Budget sums of the store in memory. A rolling window is added up charge by charge: slow, and plainly right. */
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
import { countsFrom, noticeRange } from '../rules/rolling-window.ts'
import {
  moveShares,
  windowId,
  type Share,
  type TotalsReader,
  type TotalsChange,
  type WindowKey,
} from '../rules/charge-rules.ts'
import type { BudgetWindow, Notice, SubjectTotals } from '../store.ts'

interface RollingShare {
  readonly charge: string
  readonly share: Share
}

/** See the file's head. */
export class MemoryTotals implements TotalsReader {
  readonly #stateOf: (charge: string) => ChargeState
  readonly #totals = new Map<string, TotalsChange>()
  /** By budget and subject, by the instant of the reservation. */
  readonly #rolling = new Map<string, RollingShare[]>()
  /** Windows in which a soft limit was told; rolling ones by the instant it was. */
  readonly #told: WindowKey[] = []

  /** @param stateOf the state of a charge that has shares here */
  constructor(stateOf: (charge: string) => ChargeState) {
    this.#stateOf = stateOf
  }

  readonly at = (key: WindowKey): Totals | undefined => this.#totals.get(windowId(key))?.totals

  readonly against = (claim: Claim): Totals =>
    claim.window === 'rolling'
      ? this.#counting(claim).reduce((sum, one) => addTotals(sum, this.#totalsOf(one)), NO_TOTALS)
      : (this.at(claim) ?? NO_TOTALS)

  readonly keysOf = (share: Share): readonly WindowKey[] => (share.window === 'rolling' ? [] : [share])

  /** Keeps the shares of a new charge and the sums with it. */
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

  /** Of what a reservation passed, what has not been told yet; a soft limit is told once per window and subject. */
  tell(passed: readonly Notice[]): Notice[] {
    return passed.filter(({ kind, claim }) => {
      if (kind !== 'soft') return true
      const { from, to } = noticeRange(claim)
      const told = this.#told.some(
        (key) =>
          key.budget === claim.budget &&
          key.subject === claim.subject &&
          key.window === claim.window &&
          key.windowStart >= from &&
          key.windowStart <= to,
      )
      if (!told) this.#told.push(claim)
      return !told
    })
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
        : [...this.#totals.values()].map(({ key }) => key)
    const names = keys.filter(({ budget }) => budget === claim.budget).map(({ subject }) => subject)
    return [...new Set(names)]
      .toSorted()
      .map((subject) => ({ subject, totals: this.against({ ...claim, subject }) }))
      .filter(({ totals }) => counted(totals) > 0n)
  }

  windows(since: number): BudgetWindow[] {
    return [...this.#totals.values()].flatMap(({ key, totals }) => {
      const window = WINDOWS.find((name) => name === key.window)
      if (window === undefined || key.windowStart < since) return []
      const { budget, subject, windowStart } = key
      return [{ budget, subject, window, windowStart, totals }]
    })
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
    for (const change of changes) this.#totals.set(windowId(change.key), change)
  }
}

function subjectId({ budget, subject }: Pick<WindowKey, 'budget' | 'subject'>): string {
  return JSON.stringify([budget, subject])
}
