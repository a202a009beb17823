/** Opens the pools of pre-signed payments. They need the ledger but no key. */
import type { Log } from '../../core/log.ts'
import { ObolPool } from '../../../providers/obol/pool.ts'
import type { ReloadReport } from '../../../providers/obol/pool-options.ts'
import type { Clock } from '../../core/clock.ts'
import { ConfigError } from '../../core/errors.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import { systemTimers, type Timers } from '../../core/timers.ts'
import type { Ledger } from '../../io/ledger/ledger.ts'
import { ConsumedFile } from '../../io/external-payers/obol/consumed-file.ts'
import { ObolFilesError } from '../../io/external-payers/obol/files.ts'
import { VoucherBook } from '../../io/vouchers/voucher-book.ts'
import type { ResolvedObolPool } from '../config/resolve/resolve-obol.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'

/** Dependencies of {@link openObolPools}. */
export interface ObolPoolsSetup {
  readonly config: Pick<ResolvedConfig, 'payers' | 'assets' | 'chains'>
  readonly ledger: Ledger
  readonly clock: Clock
  readonly timers?: Timers | undefined
  readonly log: Log
  /** Payers passed in by the embedding program; they take precedence. */
  readonly own?: ReadonlyMap<string, unknown> | undefined
  /** Origins that may be paid; those of the upstreams are added, also when they appear later. */
  readonly origins: Set<string>
  readonly observers: readonly Observer[]
  /** Each opened pool is added at once, so that the caller can close it if a later one fails. */
  readonly opened: { close(): Promise<void> }[]
}

/**
 * Opens every payer of `kind: obol, mode: pool`.
 * @throws ConfigError if files cannot be read, or if another process writes the state file
 * @throws TollwayError `store_unavailable`
 */
export async function openObolPools(setup: ObolPoolsSetup): Promise<ReadonlyMap<string, ObolPool>> {
  const pools = new Map<string, ObolPool>()
  for (const [name, payer] of setup.config.payers) {
    if (payer.kind !== 'obol' || payer.mode !== 'pool' || setup.own?.has(name)) continue
    const pool = await openPool(name, payer, setup)
    setup.opened.push(pool)
    pools.set(name, pool)
  }
  return pools
}

async function openPool(name: string, payer: ResolvedObolPool, setup: ObolPoolsSetup): Promise<ObolPool> {
  const { config, ledger, clock, log, origins, observers } = setup
  const consumed =
    payer.state === undefined
      ? undefined
      : ConsumedFile.open(payer.state, ledger.instance, (err) => {
          log.error({ err, payer: name }, 'the state file of x402-buyer could not be written')
          for (const observer of observers) observer({ type: 'obol_state_failed', payer: name })
        })
  let opened: ObolPool | undefined
  /** Networks already reported to have no node; those known at startup are reported with the other payers. */
  const reported = new Set<string>()
  const onReload = (report: ReloadReport): void => {
    const { problems, ...counts } = report
    if (problems.length > 0) log.warn({ payer: name, ...counts, problems }, 'not all vouchers were loaded')
    for (const { pool } of opened?.upstreams ?? []) origins.add(new URL(pool.seller).origin)
    // The reconciler reads every configured chain; a network that arrives with the files may not be configured.
    for (const network of opened?.networks ?? []) {
      if (config.chains.has(network) || reported.has(network)) continue
      reported.add(network)
      for (const observer of observers) observer({ type: 'chain', network, ok: false, reason: 'no_rpc' })
    }
  }
  try {
    opened = await ObolPool.open({
      payer: name,
      paths: payer.paths,
      consumed,
      book: new VoucherBook({ ledger, clock, limits: payer.limits }),
      store: ledger.store,
      assets: config.assets,
      reloadMs: payer.reloadMs,
      userAgent: payer.userAgent,
      clock,
      timers: setup.timers ?? systemTimers,
      onReload,
    })
  } catch (error) {
    await consumed?.close()
    if (!(error instanceof ObolFilesError)) throw error
    throw new ConfigError(`payers.${name}: ${error.message} Correct config or auths.`, { cause: error })
  }
  for (const { pool } of opened.upstreams) {
    origins.add(new URL(pool.seller).origin)
    reported.add(pool.network)
  }
  return opened
}
