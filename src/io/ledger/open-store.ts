import { ConfigError } from '../../core/errors.ts'
import { memoryStore } from '../store/memory/store.ts'
import { openSqliteStore, type SqliteStoreOptions } from '../store/sqlite/store.ts'
import type { Store } from '../store/store.ts'

/**
 * Opens the store a configuration names: `sqlite:<path>` (relative to the working directory) or `memory`.
 * @throws ConfigError for anything else, and for errors when the store is opened
 */
export async function openStore(
  spec: string,
  options: Pick<SqliteStoreOptions, 'onBuild' | 'onChecked'> = {},
): Promise<Store> {
  assertStoreName(spec)
  if (spec === 'memory' || spec === 'memory:') return memoryStore()
  return openSqliteStore({ ...options, path: spec.slice('sqlite:'.length) })
}

/**
 * Checks that a text names a store, without opening it.
 * @throws ConfigError with the names that exist
 */
export function assertStoreName(spec: string): void {
  if (spec === 'memory' || spec === 'memory:') return
  if (spec === 'sqlite::memory:') {
    throw new ConfigError('store: sqlite::memory: is not a file. Write `memory` to keep nothing.')
  }
  if (spec.startsWith('sqlite:') && spec !== 'sqlite:') return
  if (/^postgres(?:ql)?:/.test(spec)) {
    throw new ConfigError(
      'store: Postgres is not supported yet. Write `sqlite:./tollway.db`; any number of processes of one machine may share that file.',
    )
  }
  // Reports only the scheme: the rest may contain a password.
  const scheme = /^[a-z0-9+.-]{0,20}/i.exec(spec)?.[0] ?? ''
  throw new ConfigError(`store: "${scheme}" is not a store. Write \`sqlite:./tollway.db\` or \`memory\`.`)
}
