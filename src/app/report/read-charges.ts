/** Reads the charges of a period, oldest first, page by page. */
import type { Charge } from '../../core/charge/charge.ts'
import type { ChargeStore } from '../../io/store/contracts/charges.ts'
import type { SpendingStore } from '../../io/store/contracts/spending.ts'
import type { Period } from './period.ts'
import type { ReportedCharge } from './spending.ts'

/** One after the other. */
export async function* readCharges(
  store: Pick<ChargeStore, 'history'>,
  period: Period,
): AsyncGenerator<Charge> {
  for await (const page of pagesOf(store, period)) yield* page
}

/** Likewise, each with the tokens of its answer. */
export async function* readWithUsage(
  store: Pick<ChargeStore, 'history'> & Pick<SpendingStore, 'usages'>,
  period: Period,
): AsyncGenerator<ReportedCharge> {
  for await (const page of pagesOf(store, period)) {
    const usages = await store.usages(page.map(({ id }) => id))
    for (const charge of page) yield { ...charge, usage: usages.get(charge.id) }
  }
}

async function* pagesOf(
  store: Pick<ChargeStore, 'history'>,
  { since, until }: Period,
): AsyncGenerator<readonly Charge[]> {
  for (let after: Charge | undefined; ;) {
    const page = await store.history({ since, until, after, limit: 1000 })
    yield page
    after = page.at(-1)
    if (!after) return
  }
}
