import type { Charge } from '../../core/charge.ts'
import type { Store } from '../../io/store/store.ts'
import type { Period } from './period.ts'

/** Charges of a period, oldest first, page by page. */
export async function* readCharges(
  store: Pick<Store, 'history'>,
  { since, until }: Period,
): AsyncGenerator<Charge> {
  for (let after: Charge | undefined; ;) {
    const page = await store.history({ since, until, after, limit: 1000 })
    yield* page
    after = page.at(-1)
    if (!after) return
  }
}
