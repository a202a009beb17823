import { takeLock } from '../../io/files/file-lock.ts'
import type { BuyingConfig } from './buying-context.ts'

/**
 * Runs what signs for purchases alone: two runs of cron must not do the same work twice.
 * @returns `undefined` when another process is at it
 */
export async function runExclusively<T>(
  { store }: Pick<BuyingConfig, 'store'>,
  work: () => Promise<T>,
): Promise<{ readonly result: T } | { readonly busy: number }> {
  if (!store.startsWith('sqlite:')) return { result: await work() }
  const lock = takeLock(`${store.slice('sqlite:'.length)}.buying.lock`, 'cli')
  if ('heldBy' in lock) return { busy: lock.heldBy.pid }
  try {
    return { result: await work() }
  } finally {
    lock.release()
  }
}
