/** Notices in memory. */
import {
  MAX_ENDED_NOTICES,
  type NewNotice,
  type Notice,
  type NoticeQuery,
  type NoticeStore,
} from '../contracts/notices.ts'
import type { InTransaction } from '../synchronous-store.ts'
import { compare } from './compare.ts'

/** The notices of the memory store. */
export class MemoryNotices implements InTransaction<NoticeStore> {
  readonly #notices = new Map<string, Notice>()

  add({ id, kind, instance, at, body }: NewNotice): boolean {
    if (this.#notices.has(id)) return false
    this.#notices.set(id, {
      id,
      kind,
      instance,
      at,
      body,
      attempts: 0,
      result: undefined,
      endedAt: undefined,
    })
    return true
  }

  attempt(id: string): number | undefined {
    const found = this.#open(id)
    if (!found) return undefined
    const attempts = found.attempts + 1
    this.#notices.set(id, { ...found, attempts })
    return attempts
  }

  end(id: string, result: string, at: number): boolean {
    const found = this.#open(id)
    if (!found) return false
    this.#notices.set(id, { ...found, result, endedAt: at })
    for (const old of this.#ended().slice(MAX_ENDED_NOTICES)) this.#notices.delete(old.id)
    return true
  }

  remove(id: string): void {
    this.#notices.delete(id)
  }

  find(id: string): Notice | undefined {
    return this.#notices.get(id)
  }

  list({ kind, state, limit = 1_000 }: NoticeQuery): Notice[] {
    const found = state === 'open' ? this.#allOpen() : this.#ended()
    return found.filter((notice) => notice.kind === kind).slice(0, limit)
  }

  adopt(from: string, to: string): Notice[] {
    const adopted = this.#allOpen().filter(({ instance }) => instance === from)
    const moved = adopted.map((notice) => ({ ...notice, instance: to }))
    for (const notice of moved) this.#notices.set(notice.id, notice)
    return moved
  }

  #open(id: string): Notice | undefined {
    const found = this.#notices.get(id)
    return found?.result === undefined ? found : undefined
  }

  #allOpen(): Notice[] {
    return [...this.#notices.values()]
      .filter(({ result }) => result === undefined)
      .toSorted((a, b) => a.at - b.at || compare(a.id, b.id))
  }

  #ended(): Notice[] {
    return [...this.#notices.values()]
      .filter(({ result }) => result !== undefined)
      .toSorted((a, b) => (b.endedAt ?? 0) - (a.endedAt ?? 0) || compare(b.id, a.id))
  }
}
