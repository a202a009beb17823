/** Moves the books of a SQLite ledger to a Postgres one. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Clock } from '../../core/clock.ts'
import { ConfigError } from '../../core/errors.ts'
import { isDead, thisInstance } from '../../io/ledger/instance.ts'
import { copyLedger, type Copied } from '../../io/store/copy/copy-ledger.ts'
import { NoLedgerError } from '../../io/store/no-ledger.ts'
import { hasPlainPassword, isPostgres } from '../../io/store/postgres/database/address.ts'
import { openSqliteStore } from '../../io/store/sqlite/store.ts'
import { resolveText } from '../config/values/secrets.ts'

/** What was copied. */
export interface Migrated {
  /** The old ledger, absolute. */
  readonly file: string
  readonly copied: readonly Copied[]
  readonly seconds: number
}

/**
 * Copies the ledger that no gateway uses any more.
 * @param from `sqlite:` and a path
 * @param to the address of a database; a password in it must be a reference
 * @throws ConfigError for another kind of store, a plain password, a gateway that still runs, or a ledger that is not empty
 */
export async function migrateStore(
  from: string,
  to: string,
  { env, clock }: { readonly env: NodeJS.ProcessEnv; readonly clock: Clock },
): Promise<Migrated> {
  if (!from.startsWith('sqlite:')) throw new ConfigError('The first store must be sqlite: and a path.')
  if (hasPlainPassword(to)) {
    throw new ConfigError(
      'The address holds a password, which other users see in the list of processes. Write ${env:NAME} in its place, in single quotes.',
    )
  }
  const resolved = resolveText(to, { env, directory: process.cwd() })
  if (!('text' in resolved)) throw new ConfigError(`The second store ${resolved.fault}`)
  if (!isPostgres(resolved.text)) throw new ConfigError('The second store must be postgres://…')
  const file = resolve(from.slice('sqlite:'.length))
  if (!existsSync(file)) throw new NoLedgerError(file)
  await refuseRunning(file, clock)
  const startedAt = performance.now()
  const copied = await copyLedger(file, resolved.text)
  return { file, copied, seconds: (performance.now() - startedAt) / 1000 }
}

/** What a gateway writes while or after the ledger is copied would be forgotten. Opening it also migrates an older one. */
async function refuseRunning(file: string, clock: Clock): Promise<void> {
  const store = openSqliteStore({ path: file })
  try {
    const self = thisInstance(clock)
    for (const instance of await store.instances()) {
      if (await isDead(instance, self, clock.now())) continue
      throw new ConfigError(
        `Process ${instance.pid} still uses the ledger ${file}. Stop every gateway and command first: what they paid after the copy would not be counted.`,
      )
    }
  } finally {
    await store.close()
  }
}
