import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { ConfigError } from '../../core/errors.ts'
import type { LedgerReader } from '../store/ledger-reader.ts'
import { memoryStore } from '../store/memory/store.ts'
import { NoLedgerError } from '../store/no-ledger.ts'
import { isPostgres, parseAddress, shownAddress } from '../store/postgres/database/address.ts'
import type { PostgresStoreOptions } from '../store/postgres/store.ts'
import { readSqliteLedger } from '../store/sqlite/read.ts'
import { openSqliteStore, type SqliteStoreOptions } from '../store/sqlite/store.ts'
import type { Store } from '../store/store.ts'

/** Receives what a store tells about itself. */
export type StoreListeners = Pick<SqliteStoreOptions, 'onBuild' | 'onChecked'> &
  Pick<PostgresStoreOptions, 'onWarning'>

/**
 * Opens the store a configuration names: `sqlite:<path>` (relative to the working directory), `postgres://…` or `memory`.
 * @throws ConfigError for anything else, and for errors when the store is opened
 */
export async function openStore(spec: string, options: StoreListeners = {}): Promise<Store> {
  assertStoreName(spec)
  if (isMemory(spec)) return memoryStore()
  if (isPostgres(spec)) return await openPostgres({ ...options, address: spec })
  return openSqliteStore({ ...options, path: fileOf(spec) })
}

/**
 * Opens the ledger that a gateway has made, for a command.
 * @throws ConfigError when there is none yet, and as {@link openStore}
 */
export async function openExistingStore(spec: string): Promise<Store> {
  if (isPostgres(spec)) return await openPostgres({ address: spec, isExpected: true })
  if (!isMemory(spec) && !existsSync(fileOf(spec))) throw new NoLedgerError(resolve(fileOf(spec)))
  return await openStore(spec)
}

/**
 * Opens the ledger that a gateway has made for reading. All reads see it as of this instant.
 * @throws ConfigError for a store in memory, when there is no ledger, or its schema version differs
 * @throws TollwayError `store_unavailable`
 */
export async function readLedger(spec: string): Promise<LedgerReader> {
  if (isPostgres(spec)) {
    const { readPostgresLedger } = await import('../store/postgres/read.ts')
    return await readPostgresLedger(spec)
  }
  if (!isMemory(spec)) return readSqliteLedger(fileOf(spec))
  throw new ConfigError(
    'store: memory exists only inside the gateway and is lost when it stops. Set store: sqlite:./tollway.db to keep a ledger that commands can read.',
  )
}

/**
 * Checks that a text names a store, without opening it.
 * @throws ConfigError with the names that exist
 */
export function assertStoreName(spec: string): void {
  if (isMemory(spec)) return
  if (spec === 'sqlite::memory:') {
    throw new ConfigError('store: sqlite::memory: is not a file. Write `memory` to keep nothing.')
  }
  if (spec.startsWith('sqlite:') && spec !== 'sqlite:') return
  if (isPostgres(spec)) {
    parseAddress(spec)
    return
  }
  // Reports only the scheme: the rest may contain a password.
  const scheme = /^[a-z0-9+.-]{0,20}/i.exec(spec)?.[0] ?? ''
  throw new ConfigError(
    `store: "${scheme}" is not a store. Write \`sqlite:./tollway.db\`, \`postgres://user@host/database\` or \`memory\`.`,
  )
}

/** Loaded only where it is named: most ledgers are files. */
async function openPostgres(options: PostgresStoreOptions): Promise<Store> {
  const { openPostgresStore } = await import('../store/postgres/store.ts')
  return await openPostgresStore(options)
}

/** A store as it may be shown: the file, or the address without its password. */
export function shownStore(spec: string): string {
  if (isPostgres(spec)) return shownAddress(parseAddress(spec))
  return isMemory(spec) ? 'memory' : fileOf(spec)
}

function isMemory(spec: string): boolean {
  return spec === 'memory' || spec === 'memory:'
}

function fileOf(spec: string): string {
  return spec.slice('sqlite:'.length)
}
