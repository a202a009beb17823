/** Opens the dependencies of the middlewares: ledger, payers, transport, metrics. Each gateway has its own set. */
import { randomBytes } from 'node:crypto'
import type { Registry } from 'prom-client'
import type { Dispatcher } from 'undici'
import { tallyRefusals } from '../../../middleware/audit-logger.ts'
import type { IdempotencyOptions, RememberedRequests } from '../../../middleware/idempotency.ts'
import { CallsInFlight } from '../../payment/calls-in-flight.ts'
import { silentLog } from '../../core/log.ts'
import { LogLimit } from '../../core/log-limit.ts'
import type { RefusalTally } from '../../io/audit/refusal-tally.ts'
import { type Log } from '../../core/log.ts'
import { systemClock, type Clock } from '../../core/clock.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import type { RandomBytes } from '../../core/ids.ts'
import type { Hooks } from '../../core/hooks/hooks.ts'
import type { Provider } from '../../core/payer/provider.ts'
import { systemTimers, type Timers } from '../../core/timers.ts'
import type { AuditFile } from '../../io/audit/audit-writer.ts'
import type { AuditSink } from '../../io/audit/audit-queue.ts'
import { thisInstance } from '../../io/ledger/instance.ts'
import { Ledger } from '../../io/ledger/ledger.ts'
import { HEARTBEAT_MS } from '../../io/ledger/open-ledger.ts'
import { createMetrics, type Metrics } from '../../io/metrics/metrics.ts'
import type { Reconciler } from '../../io/reconcile/reconciler.ts'
import { openHooks } from '../wiring/open-hooks.ts'
import { inheritNotices } from '../wiring/inherit-notices.ts'
import type { Approvals } from '../approvals/approvals.ts'
import { openApprovals } from '../wiring/open-approvals.ts'
import { levelsOf, openNotifier } from '../wiring/open-notifier.ts'
import { openFreeSpace } from '../wiring/open-free-space.ts'
import { currentBudgets } from '../wiring/current-budgets.ts'
import { unpricedRoutes } from '../wiring/unpriced-routes.ts'
import type { FreeSpace } from '../../io/files/free-space.ts'
import { openStore } from '../../io/ledger/open-store.ts'
import type { TotalsCheck } from '../../io/consistency/totals-check.ts'
import { AuditTotals, MoveWatch } from '../../io/consistency/independent-totals.ts'
import type { Store } from '../../io/store/store.ts'
import type { LookupAll } from '../../io/transport/public-connector.ts'
import { createUpstream, type Upstream } from '../../io/transport/upstream.ts'
import { budgetLog } from '../logging/budget-log.ts'
import { refillInBackground } from '../buying/background.ts'
import { buyingContextOf } from '../buying/buying-context.ts'
import { clockLog } from '../logging/clock-log.ts'
import { catalogueLog } from '../logging/catalogue-log.ts'
import { ledgerLog } from '../logging/ledger-log.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { refuseForgottenLedger } from '../wiring/refuse-forgotten-ledger.ts'
import { refuseOldLedger } from '../wiring/refuse-old-ledger.ts'
import { openPayers } from '../wiring/open-payers.ts'
import { openObolPools } from '../obol/open-pools.ts'
import { poolObserver, poolSources } from '../obol/pool-metrics.ts'
import type { ObolPools } from '../obol/pool-routes.ts'
import { openChainParts, type ChainParts } from './chain-parts.ts'
import { openGauges, type Gauges } from '../wiring/open-gauges.ts'
import { movesMoney, openAudit, watchAuditHead } from '../wiring/open-audit.ts'
import { chainLog, openReconciler } from '../wiring/open-reconciler.ts'
import { openSpendPage } from './open-spend-page.ts'
import { chainOutflow, openTotals } from '../wiring/open-totals.ts'
import type { SpendPageOptions } from '../spend-page/spend-page.ts'

/** Dependencies that tests or embedding programs replace. */
export interface PartOverrides {
  readonly clock?: Clock | undefined
  readonly random?: RandomBytes | undefined
  /** Receives every event, in addition to the metrics. */
  readonly observers?: readonly Observer[] | undefined
  /** The Prometheus registry for the metrics; default a new one. */
  readonly registry?: Registry | undefined
  /** Put before the name of every metric, so that several gateways can share {@link registry}; e.g. `a_`. */
  readonly metricsPrefix?: string | undefined
  /** The transport to sellers and upstreams. */
  readonly dispatcher?: Dispatcher | undefined
  /** Free bytes of a directory's disk. */
  readonly freeBytes?: ((directory: string) => number) | undefined
  /** Resolves the addresses of sellers when `policy.block_private_networks` is on. */
  readonly lookup?: LookupAll | undefined
  /** Payers in addition to the configured ones; they take precedence over those of the same name. */
  readonly payers?: ReadonlyMap<string, Provider> | undefined
  /** Wraps the ledger's store, for programs that observe it or make it fail. */
  readonly wrapStore?: ((store: Store) => Store) | undefined
  /** Wraps the ledger's audit file, for the same purpose. */
  readonly wrapAudit?: ((audit: AuditSink) => AuditSink) | undefined
  /** Times the waits between background checks. */
  readonly timers?: Timers | undefined
  /** Functions of the application that are called when something is paid, refused or ended. */
  readonly hooks?: Hooks | undefined
  /** Called with failures of background work. */
  readonly log?: Log | undefined
}

/** The opened parts, with the options of each middleware ready to be handed to its factory. */
export interface GatewayParts extends ChainParts {
  /** The calls that wait for a person. */
  readonly approvals: Approvals
  readonly clock: Clock
  readonly ledger: Ledger
  readonly audit: AuditFile
  readonly metrics: Metrics
  /** Refreshes the values that are too slow for a scrape; can be refreshed on request. */
  readonly gauges: Gauges
  /** Compares the totals of ledger, audit file and metrics; can be run on request. */
  readonly sums: TotalsCheck
  readonly payers: ReadonlyMap<string, Provider>
  /** The payers that pay from pools, by name. */
  readonly pools: ObolPools
  readonly upstream: Upstream
  /** The paid calls in flight. */
  readonly running: CallsInFlight
  /** Runs on a timer; can be run on request. */
  readonly reconciler: Reconciler
  readonly observers: readonly Observer[]
  /** The free space of the disks that ledger and audit file are on. */
  readonly space: FreeSpace
  /** Which refusals have an audit record of their own. */
  readonly refusals: RefusalTally
  readonly idempotency: IdempotencyOptions
  readonly spendPage: SpendPageOptions
  /**
   * The same parts under another configuration. What watches the gateway itself (metrics, spend page, reconciler, refills) follows
   * it from {@link GatewayParts.makeCurrent} on. Only what is named in docs/configuration.md may differ.
   * @throws ConfigError for routes that cannot work
   */
  renewed(config: ResolvedConfig): GatewayParts
  /** Makes these parts the ones that everything follows. */
  makeCurrent(): void
  /** Closes all parts; payments that were signed and not answered stay counted as uncertain. */
  close(): Promise<void>
}

/**
 * Opens the parts of a configuration.
 * @throws ConfigError for an unusable key or a file that is not Tollway's
 * @throws TollwayError `store_unavailable`, `audit_unavailable`
 */
export async function openParts(
  config: ResolvedConfig,
  overrides: PartOverrides = {},
): Promise<GatewayParts> {
  const { clock = systemClock, random = randomBytes, log = silentLog } = overrides
  const opened: { close(): Promise<void> }[] = []
  try {
    const instance = thisInstance(clock)
    const signers = await openPayers(config, { clock: overrides.clock, own: overrides.payers, opened })
    refuseForgottenLedger(config)
    const audit = await openAudit(config.audit, clock, instance.id, log)
    opened.push(audit)
    const opening = await openStore(config.store, ledgerLog(log))
    opened.push(opening)
    await refuseOldLedger(config, opening)
    const store = overrides.wrapStore?.(opening) ?? opening
    const metrics = createMetrics({ registry: overrides.registry, prefix: overrides.metricsPrefix })
    // A registry of the application outlives this gateway, which may be opened again.
    const removeMetrics = async (): Promise<void> => {
      if (overrides.registry) metrics.remove()
    }
    opened.push({ close: removeMetrics })
    const refusals = tallyRefusals({ audit, clock, log, timers: overrides.timers })
    const failures = new LogLimit(clock)
    const space = openFreeSpace(config, log, overrides.freeBytes)
    const observers = [
      metrics.observe,
      chainLog(log),
      budgetLog(log),
      catalogueLog(log),
      clockLog(log),
      ...(overrides.observers ?? []),
    ].map((observer) => harmless(observer, log, failures))
    const hooks = openHooks(overrides.hooks, { clock, timers: overrides.timers, log, observers })
    const heads = await watchAuditHead(audit, config.audit.path, store, { clock, log })
    observers.push((event) => movesMoney(event) && heads.soon())
    const [auditSums, moves] = [new AuditTotals(instance.id), new MoveWatch(instance.id)]
    observers.push(moves.observe)
    const counting = auditSums.watch(audit)
    const books = {
      store,
      audit: overrides.wrapAudit?.(counting) ?? counting,
      onClosing: () => heads.end(),
      refuse: () => space.check(),
      levels: () => levelsOf(settings()),
    }
    const ledger = await Ledger.open({ ...books, clock, random, instance, observers })
    observers.push((event) => {
      if (event.type !== 'request') return
      const { charge, usage } = event.summary
      if (charge !== undefined && usage !== undefined) void ledger.noteUsage(charge, usage)
    })
    const origins = new Set<string>()
    const pools = await openObolPools({
      config,
      ledger,
      clock,
      timers: overrides.timers,
      log,
      own: overrides.payers,
      origins,
      observers,
      opened,
    })
    const payers = new Map<string, Provider>([...signers, ...pools])
    observers.push(harmless(poolObserver(pools, metrics.observe), log, failures))
    metrics.watch(poolSources(store.vouchers, pools, clock))
    const running = new CallsInFlight()
    const upstream = createUpstream(config.timeouts, {
      dispatcher: overrides.dispatcher,
      publicSellers: config.blockPrivateNetworks,
      lookup: overrides.lookup,
      timers: overrides.timers,
    })
    const base = { ledger, store, upstream, payers, pools, origins, running, clock, observers }
    const { timers = systemTimers } = overrides
    const settings = (): ResolvedConfig => current.config
    const telling = { ...base, settings, timers, log }
    const { notifier, observe: tellOfBudgets } = openNotifier(telling)
    const approvals = openApprovals({ ...telling, notifier, random })
    const chainBase = { ...base, timers: overrides.timers, hookRunner: hooks?.runner, approval: approvals }
    let current = openChainParts(config, chainBase)
    await inheritNotices({ ledger, approvals, notifier })
    observers.push(harmless(tellOfBudgets, log, failures))
    const refilling = { ledger, upstream, clock, timers, observers, beforeSign: hooks?.beforeSign }
    const buying = buyingContextOf(refilling, settings, payers)
    const refills = refillInBackground(buying, log)
    observers.push(harmless(refills.observe, log, failures))
    metrics.watch({
      budgets: async () =>
        (await ledger.budgets(currentBudgets(settings()))).map(({ rule, claim, totals }) => ({
          budget: rule.name,
          subject: claim.subject,
          limit: claim.limit,
          totals,
          asset: rule.asset,
          enforce: rule.enforce,
          severity: rule.alert,
        })),
      uncertain: () => ledger.uncertainSum(),
      flagged: () => store.flagCounts(),
      auditSequence: () => audit.head().seq,
      diskSpace: () => space.readings(),
      minFreeBytes: () => config.audit.minFree ?? 0,
      routes: () => current.modelRouter.state.readings(),
      unpricedRoutes: () => unpricedRoutes(settings()),
      approvalsWaiting: () => approvals.list().length,
    })
    const gauges = openGauges({ config, store, metrics, payers, clock, log })
    const chain = chainOutflow(config, payers.values(), store, clock)
    const summing = { store, instance, audit: auditSums, moves, metrics, log, chain, clock }
    const sums = openTotals({ ...summing, timers: overrides.timers })
    const page = openSpendPage({
      approvals,
      config: settings,
      ledger,
      payers,
      wallets: gauges.wallets,
      clock,
      random,
      observers,
    })
    const heartbeat = setInterval(() => {
      space.look()
      ledger
        .beat()
        .then(() => ledger.retireDead())
        .then(() => inheritNotices({ ledger, approvals, notifier }))
        .then(() => heads.beat())
        .catch((err: unknown) => log.error({ err }, 'the ledger could not be written'))
    }, HEARTBEAT_MS)
    heartbeat.unref()
    const paidNetworks = [...payers.values()].flatMap(({ networks }) => networks)
    const reconciler = openReconciler({
      config,
      pins: (seller) => !settings().policy.payTo.has(seller),
      ledger,
      paidNetworks,
      observers,
      log,
    })
    reconciler.start()
    const fixed = {
      approvals,
      gauges,
      clock,
      ledger,
      audit,
      metrics,
      sums,
      payers,
      upstream,
      running,
      reconciler,
      observers,
      space,
      refusals,
      pools,
      idempotency: {
        ledger,
        ...config.idempotency,
        clock,
        onMount: (remembered: () => RememberedRequests) => metrics.watch({ remembered }),
      },
      spendPage: page,
      async close() {
        clearInterval(heartbeat)
        sums.close()
        gauges.close()
        await refills.close()
        await notifier.close()
        await reconciler.close()
        await upstream.close()
        await Promise.allSettled([...payers.values()].map((payer) => payer.close()))
        await refusals
          .flush()
          .catch((err: unknown) => log.error({ err }, 'a request record could not be written'))
        await ledger.close()
        await removeMetrics()
      },
    }
    const partsOf = (own: ChainParts): GatewayParts => ({
      ...fixed,
      ...own,
      renewed: (next) => partsOf(openChainParts(next, chainBase, own)),
      makeCurrent() {
        current = own
      },
    })
    return partsOf(current)
  } catch (error) {
    await Promise.allSettled(opened.map((part) => part.close()))
    throw error
  }
}

/** An observer must not change the outcome: an error after a payment would make a client pay again. */
function harmless(observer: Observer, log: Log, failures: LogLimit): Observer {
  return (event) => {
    try {
      observer(event)
    } catch (err) {
      failures.pass(event.type, (more) => log.error({ err, event: event.type, ...more }, 'an observer threw'))
    }
  }
}
