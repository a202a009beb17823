import { takeLock } from '../../io/files/file-lock.ts'
import type { BuyingConfig } from './buying-context.ts'

/**
 * Runs work that signs for purchases under a lock, so that two runs of cron do not do the same work twice.
 * @returns the process that holds the lock, if it is not this one
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
