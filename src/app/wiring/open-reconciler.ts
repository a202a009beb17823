/** Sets up the reconciler: one reader per configured chain, and log messages for chains that cannot be read. */
import type { Log } from '../../core/log.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import { systemTimers } from '../../core/timers.ts'
import { isSolanaNetwork } from '../../core/money/address.ts'
import { openChain } from '../../io/chain/chain.ts'
import { openSolanaReader } from '../../io/chain/solana/solana-reader.ts'
import type { Ledger } from '../../io/ledger/ledger.ts'
import { Reconciler } from '../../io/reconcile/reconciler.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'

/** Dependencies of {@link openReconciler}. */
export interface ReconcilerSetup {
  readonly config: Pick<ResolvedConfig, 'chains' | 'reconcile'>
  /** Whether the payee of a seller's first settled payment is pinned. */
  readonly pins: (seller: string) => boolean
  readonly ledger: Ledger
  /** Networks that payers may pay on: each should have a configured chain. */
  readonly paidNetworks: Iterable<string>
  /** Includes {@link chainLog}. */
  readonly observers: readonly Observer[]
  readonly log: Log
}

/** Opens the reconciler; it sends no request before it is started. Logs once which networks have no configured node. */
export function openReconciler(setup: ReconcilerSetup): Reconciler {
  const { config, ledger, log } = setup
  const { observers } = setup
  for (const network of new Set(setup.paidNetworks)) {
    if (config.chains.has(network)) continue
    for (const observe of observers) observe({ type: 'chain', network, ok: false, reason: 'no_rpc' })
  }
  return new Reconciler({
    ledger,
    chains: [...config.chains]
      .filter(([network]) => !isSolanaNetwork(network))
      .map(([network, { rpc, finality }]) => openChain({ network, rpc, finality })),
    solana: [...config.chains]
      .filter(([network]) => isSolanaNetwork(network))
      .map(([network, { rpc }]) => openSolanaReader({ network, rpc })),
    pins: setup.pins,
    timers: systemTimers,
    intervalMs: config.reconcile.intervalMs,
    observers,
    onFailure: (err) => log.error({ err }, 'could not check unresolved payments against the chains'),
  })
}

/** Logs once when a network becomes unreadable, fails differently, or is readable again; and logs every flag. */
export function chainLog(log: Log): Observer {
  const troubles = new Map<string, string>()
  return (event) => {
    if (event.type === 'flagged') {
      const { charge, finding } = event
      log.warn({ charge: charge.id, ...finding }, 'a payment needs review')
    }
    if (event.type !== 'chain') return
    const { network, ok, reason = 'unknown' } = event
    if (ok) {
      if (troubles.delete(network)) log.warn({ network }, 'the node of this network can be read again')
    } else if (troubles.get(network) !== reason) {
      troubles.set(network, reason)
      log.warn({ network, reason }, wordsFor(reason))
    }
  }
}

function wordsFor(reason: string): string {
  switch (reason) {
    case 'no_rpc':
      return 'no node is configured for this network, so no uncertain payment on it is released early: add one under chains'
    case 'wrong_chain_id':
      return 'the node serves another network, so its answers are ignored: correct chains'
    case 'block_went_back':
    case 'block_unknown':
    case 'block_changed':
      return 'the node contradicts itself about a final block, so its answers are ignored for now'
    default:
      return 'the node of this network gave no usable answer, so unresolved payments on it stay unchanged'
  }
}
