/** Which subjects of a budget are listed where there are too many for one list. */
import { counted } from '../../../core/budget/budget.ts'
import type { SubjectTotals } from '../contracts/budgets.ts'

/** The most subjects of one budget that are looked at for a list: open tags can have any number. */
export const MAX_READ_SUBJECTS = 10_000

/** The most subjects of one budget in a list. */
const MAX_SUBJECTS = 1000

/** The subjects with something counted, the thousand with most of it, in their order. */
export function listedSubjects(found: readonly SubjectTotals[]): SubjectTotals[] {
  const used = found.filter(({ totals }) => counted(totals) > 0n)
  if (used.length <= MAX_SUBJECTS) return used
  const most = used
    .toSorted((a, b) => (counted(a.totals) > counted(b.totals) ? -1 : 1))
    .slice(0, MAX_SUBJECTS)
  const kept = new Set(most)
  return used.filter((one) => kept.has(one))
}
