/** What every store must do when it is pinged and closed. */
import { beforeEach, expect, test } from 'vitest'
import type { Store } from '../../io/store/store.ts'
import { terms } from './samples.ts'

/** @param current the store of the running test */
export function lifecycleConformance(current: () => Store): void {
  let store: Store
  beforeEach(() => {
    store = current()
  })

  test('answers pings, and refuses everything once closed', async () => {
    await store.ping()
    const last = store.reserve(terms(1), [], false)
    await store.close()
    await store.close()
    expect((await last).ok).toBe(true)
    const closed = { name: 'TollwayError', code: 'store_unavailable' }
    await expect(store.ping()).rejects.toMatchObject(closed)
    await expect(store.reserve(terms(1), [], false)).rejects.toMatchObject(closed)
    await expect(store.charge('x')).rejects.toMatchObject(closed)
    await expect(store.instances()).rejects.toMatchObject(closed)
  })
}
