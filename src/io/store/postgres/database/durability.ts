/** Whether what the database confirms survives: checked when a ledger is opened, because budgets rely on it. */
import { ConfigError } from '../../../../core/errors.ts'
import { integer, text } from '../../rows/rows.ts'
import type { Transaction } from './transaction.ts'

/** More than this between the clocks of database and process is reported, milliseconds. */
const CLOCK_MS = 5000

/**
 * Looks at the settings of the server and of this user's sessions.
 * @param now milliseconds since the epoch
 * @returns what a failover could lose, one sentence each
 * @throws ConfigError when a confirmed record of a payment could be lost by a crash of the database
 */
export async function checkDurability(transaction: Transaction, now: number): Promise<string[]> {
  const row = await transaction.get(
    `SELECT current_setting('synchronous_commit') AS commits, current_setting('fsync') AS fsync,
      current_setting('full_page_writes') AS pages, current_setting('synchronous_standby_names') AS standbys,
      (SELECT count(*) FROM pg_stat_replication) AS replicas,
      (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now`,
  )
  if (!row) return []
  const commits = text(row, 'commits')
  if (commits === 'off') {
    throw new ConfigError(
      'store: synchronous_commit is off, so that the database confirms records of signed payments before they are on its disk: after a crash the budgets would let that money be spent again. Set it to on: ALTER ROLE tollway SET synchronous_commit = on.',
    )
  }
  for (const [column, setting] of [
    ['fsync', 'fsync'],
    ['pages', 'full_page_writes'],
  ] as const) {
    if (text(row, column) === 'on') continue
    throw new ConfigError(
      `store: ${setting} is off, so that a crash of the database can lose records of signed payments that it confirmed: the budgets would let that money be spent again. Set it to on in postgresql.conf.`,
    )
  }
  const warnings: string[] = []
  const isReplicated = integer(row, 'replicas') > 0
  if (isReplicated && (commits === 'local' || text(row, 'standbys') === '')) {
    warnings.push(
      'The database has standbys but does not wait for them: a failover can lose the newest records of signed payments, and the budgets would let that money be spent again. Set synchronous_standby_names, and synchronous_commit to on or remote_apply.',
    )
  }
  const apart = Math.abs(integer(row, 'now') - now)
  if (apart > CLOCK_MS) {
    warnings.push(
      `The clocks of this machine and of the database are ${Math.round(apart / 1000)} seconds apart: charges are dated, and budget windows begin, by the database's clock. Keep both in time with NTP: sellers compare signatures with theirs.`,
    )
  }
  return warnings
}
