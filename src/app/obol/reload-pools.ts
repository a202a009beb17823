import type { ObolPools } from './pool-routes.ts'

/** Reads the files of all pools again, soon. @returns what x402-buyer answers */
export function reloadPools(pools: ObolPools): 'reload triggered' | 'reload already pending' {
  const reloads = [...pools.values()].map((pool) => pool.reload('admin'))
  for (const { done } of reloads) done.catch(() => undefined)
  const isPending = reloads.length > 0 && reloads.every(({ pending }) => pending)
  return isPending ? 'reload already pending' : 'reload triggered'
}
