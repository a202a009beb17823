/** Tells Tollway's own time from the time others take: what a gateway adds is the first thing its users ask. */
import type { Exchange } from '../core/request/exchange.ts'

type Timed = Pick<Exchange, 'timing'>

/** Waits for a seller or upstream; the time is theirs, however it ends. */
export async function awaited<T>({ timing }: Timed, work: Promise<T>): Promise<T> {
  const since = performance.now()
  try {
    return await work
  } finally {
    timing.awaitedMs += performance.now() - since
  }
}

/** Marks that the answer can be relayed. */
export function markReady({ timing }: Timed): void {
  timing.readyAt = performance.now()
}

/** Seconds Tollway itself took until the answer could be relayed; `undefined` when none was made for this request. */
export function overheadSeconds({ timing: { begunAt, awaitedMs, readyAt } }: Timed): number | undefined {
  return readyAt === undefined ? undefined : Math.max(0, readyAt - begunAt - awaitedMs) / 1000
}
