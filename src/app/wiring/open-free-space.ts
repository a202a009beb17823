/** Watches the disks that the configured ledger and audit file are on. */
import { dirname } from 'node:path'
import type { Log } from '../../core/log.ts'
import { FreeSpace } from '../../io/files/free-space.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'

/** @param freeBytes replaced in tests */
export function openFreeSpace(
  { audit, store }: Pick<ResolvedConfig, 'audit' | 'store'>,
  log: Log,
  freeBytes?: (directory: string) => number,
): FreeSpace {
  const ledger = store.startsWith('sqlite:') ? store.slice('sqlite:'.length) : undefined
  return new FreeSpace({
    files: [
      { name: 'audit', directory: dirname(audit.path), code: 'audit_unavailable' },
      ...(ledger === undefined
        ? []
        : [{ name: 'ledger', directory: dirname(ledger), code: 'store_unavailable' as const }]),
    ],
    minBytes: audit.minFree ?? 0,
    freeBytes,
    onChange(refusal) {
      if (refusal) log.error({ code: refusal.code }, refusal.message)
      else log.warn({}, 'the disks have enough free space again; paid routes are served')
    },
  })
}
