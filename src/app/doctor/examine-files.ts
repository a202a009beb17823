/** The ledger and the audit files, read without a lock: a running gateway is not disturbed. */
import { accessSync, constants, existsSync, statSync, statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { ConfigError, TollwayError } from '../../core/errors.ts'
import { formatUsd, toMicroUsd } from '../../core/money/money.ts'
import { findAsset } from '../../core/money/assets.ts'
import type { Charge } from '../../core/charge/charge.ts'
import { shownStore } from '../../io/ledger/open-store.ts'
import { NoLedgerError } from '../../io/store/no-ledger.ts'
import { isPostgres } from '../../io/store/postgres/database/address.ts'
import { readPostgresLedger } from '../../io/store/postgres/read.ts'
import { readSqliteLedger } from '../../io/store/sqlite/read.ts'
import { type LedgerReader } from '../../io/store/ledger-reader.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { findingsOf, type Finding } from './finding.ts'

const LITTLE_SPACE = 1_073_741_824
const DAY_MS = 86_400_000
/** Charges of the last month that are read, at most. */
const MAX_PAGES = 20
const PAGE = 1000
/** Sums are compared with the charges of whole days until so many charges were read: a few seconds. */
const MAX_COMPARED = 100_000

/** The ledger: whether it opens, what is uncertain in it, and the free space on its disk. */
export async function examineStore(
  config: Pick<ResolvedConfig, 'store' | 'assets' | 'chains'>,
  now: number,
): Promise<Finding[]> {
  const { ok, note, warning, problem } = findingsOf('store')
  if (config.store === 'memory') {
    return [
      warning(
        'The ledger is kept in memory: budgets and payments are forgotten when the gateway ends.',
        'Set store: sqlite:./tollway.db for anything but trials.',
      ),
    ]
  }
  if (isPostgres(config.store)) return await examineDatabase(config, now)
  const file = config.store.slice('sqlite:'.length)
  const found: Finding[] = []
  let ledger: LedgerReader | undefined
  try {
    ledger = readSqliteLedger(file)
    const { size } = statSync(file)
    found.push(ok(`The ledger ${file} opens (${megabytes(size)}).`))
    found.push(...(await uncertainIn(ledger, config, now)), ...(await flaggedIn(ledger)))
    found.push(await comparedIn(ledger, file))
  } catch (error) {
    if (error instanceof NoLedgerError) found.push(note(`There is no ledger yet; serve creates ${file}.`))
    else if (error instanceof ConfigError || error instanceof TollwayError)
      found.push(
        problem(error.message, 'Repair the file, or restore a backup: tollway backup restore --help.'),
      )
    else throw error
  } finally {
    await ledger?.close()
  }
  return [...found, ...examinePlace(dirname(file), 'store')]
}

/** The same of a Postgres ledger, and whether its database keeps what it confirms. */
async function examineDatabase(
  config: Pick<ResolvedConfig, 'store' | 'assets' | 'chains'>,
  now: number,
): Promise<Finding[]> {
  const { ok, note, warning, problem } = findingsOf('store')
  const place = shownStore(config.store)
  try {
    const ledger = await readPostgresLedger(config.store)
    try {
      return [
        ok(`The ledger ${place} opens, and its database keeps on disk what it confirms.`),
        ...ledger.warnings.map((text) => warning(text, 'docs/scale.md lists the settings.')),
        ...(await uncertainIn(ledger, config, now)),
        ...(await flaggedIn(ledger)),
        await comparedIn(ledger, place),
      ]
    } finally {
      await ledger.close()
    }
  } catch (error) {
    if (error instanceof NoLedgerError) return [note(`There is no ledger yet; serve creates ${place}.`)]
    if (!(error instanceof ConfigError || error instanceof TollwayError)) throw error
    return [problem(error.message, 'Check the address, the user and the settings: docs/scale.md.')]
  }
}

/** The audit file: whether it can be written, and the free space on its disk. */
export function examineAudit({ path }: ResolvedConfig['audit']): Finding[] {
  const { ok, note } = findingsOf('audit')
  const file = existsSync(path)
    ? ok(
        `The audit file ${path} exists (${megabytes(statSync(path).size)}). tollway audit verify checks its chain.`,
      )
    : note(`There is no audit file yet; serve creates ${path}.`)
  return [file, ...examinePlace(dirname(path), 'audit')]
}

function examinePlace(directory: string, area: 'store' | 'audit'): Finding[] {
  const { warning, problem } = findingsOf(area)
  try {
    accessSync(directory, constants.W_OK | constants.X_OK)
  } catch {
    return [
      problem(
        `The directory ${directory} is missing or cannot be written.`,
        `Create it and give it to the user that runs the gateway: mkdir -p ${directory}.`,
      ),
    ]
  }
  const { bavail, bsize } = statfsSync(directory)
  const free = bavail * bsize
  if (free >= LITTLE_SPACE) return []
  return [
    warning(
      `Only ${megabytes(free)} are free in ${directory}. Paid routes refuse when the disk is full.`,
      'Free some space, or move the file to a larger disk.',
    ),
  ]
}

/** Payments of the last 30 days whose outcome is not known. They count against budgets. */
async function uncertainIn(
  ledger: LedgerReader,
  { assets, chains }: Pick<ResolvedConfig, 'assets' | 'chains'>,
  now: number,
): Promise<Finding[]> {
  const uncertain: Charge[] = []
  let after: Charge | undefined
  for (let page = 0; page < MAX_PAGES; page++) {
    const charges = await ledger.history({ since: now - 30 * DAY_MS, until: now, after, limit: PAGE })
    uncertain.push(...charges.filter(({ state }) => state === 'uncertain'))
    after = charges.at(-1)
    if (charges.length < PAGE) break
  }
  if (uncertain.length === 0) return []
  const usd = uncertain.reduce((sum, { network, asset, amount }) => {
    const known = findAsset(assets, network, asset)
    return sum + (known?.usd ? toMicroUsd(amount, known.decimals, known.usd) : 0n)
  }, 0n)
  const unread = [...new Set(uncertain.map(({ network }) => network))].filter((id) => !chains.has(id))
  const { warning } = findingsOf('store')
  const many = uncertain.length === 1 ? '1 payment' : `${uncertain.length} payments`
  return [
    warning(
      `${many} of the last 30 days ($${formatUsd(usd)}) may or may not have been taken, and count against budgets.`,
      unread.length === 0
        ? 'Run tollway reconcile to ask the nodes; what cannot be proven yet stays counted.'
        : `Configure a node for ${unread.join(', ')} under chains, then run tollway reconcile.`,
    ),
  ]
}

/** Whether the sums that reports read are those of the charges. Budgets do not read them. */
async function comparedIn(ledger: LedgerReader, file: string): Promise<Finding> {
  const { ok, warning } = findingsOf('store')
  const { charges, isWhole, unbuilt, differing } = await ledger.compareSums(MAX_COMPARED)
  const which = isWhole ? `all ${charges} charges` : `the newest ${charges} charges`
  if (differing > 0) {
    return warning(
      `The sums that reports read differ from ${which} in ${differing} places. Budgets and payments are not affected.`,
      file.startsWith('postgres:')
        ? 'Report this as a fault of Tollway, with its version. Reports by time may be wrong until it is mended.'
        : `An older Tollway may have written this ledger after a newer one. Stop every gateway, then build the sums anew: sqlite3 ${file} "DELETE FROM rollups; UPDATE charges SET key = NULL".`,
    )
  }
  const rest = unbuilt === 0 ? '' : `; ${unbuilt} of an older version are added while a gateway runs`
  return ok(`The sums that reports read are those of ${which}, to the atom${rest}.`)
}

/** Payments of which seller and chain, or two receipts, say different things. */
async function flaggedIn(ledger: LedgerReader): Promise<Finding[]> {
  const counts = await ledger.flagCounts()
  if (counts.length === 0) return []
  const counted = counts.map(({ flag, count }) => `${flag}: ${count}`).join(', ')
  const { warning } = findingsOf('store')
  return [
    warning(
      `Some payments are flagged for review (${counted}).`,
      'Run tollway reconcile, which lists them; docs/reconciliation.md explains each flag.',
    ),
  ]
}

function megabytes(bytes: number): string {
  return bytes < 1_048_576 ? `${Math.ceil(bytes / 1024)} KB` : `${Math.floor(bytes / 1_048_576)} MB`
}
