/** Log lines about work on the ledger's file that goes on behind the requests. */
import type { Log } from '../../core/log.ts'
import type { FileCheck } from '../../io/store/sqlite/file/check-file.ts'
import type { BuildProgress } from '../../io/store/sqlite/history/build-rollups.ts'

/** Receives what the store tells about it. */
export interface LedgerLog {
  readonly onBuild: (progress: BuildProgress) => void
  readonly onChecked: (result: FileCheck) => void
  readonly onWarning: (warning: string) => void
}

/** Logs every tenth of the way while sums are built and the end of it, and what a check for damage came to. */
export function ledgerLog(log: Log): LedgerLog {
  let told = -1
  return {
    onBuild({ built, charges, done }) {
      const tenth = Math.floor((built * 10) / Math.max(1, charges))
      if (done) log.warn({ charges: built }, 'the sums of this ledger are complete: reports read them')
      else if (tenth > told) {
        const percent = Math.min(99, tenth * 10)
        log.warn({ percent, charges: built }, 'building the sums of a ledger of an older version')
      }
      told = Math.max(told, tenth)
    },
    onWarning: (warning) => log.warn({}, warning),
    onChecked(result) {
      if (result === 'whole') log.warn({}, 'the ledger was read whole after an unclean end: no damage')
      else if (result === 'damaged')
        log.error({}, 'the ledger is damaged: nothing more is paid; restore it from a backup')
      else log.warn({}, 'the ledger could not be read for damage after an unclean end')
    },
  }
}
