/** A ledger with its three sums, over a store and an audit file in memory that can be tampered with. */
import { expect } from 'vitest'
import { createMetrics } from '../../src/io/metrics/metrics.ts'
import { Ledger } from '../../src/io/ledger/ledger.ts'
import type { Store } from '../../src/io/store/store.ts'
import { AuditTotals, MoveWatch } from '../../src/io/consistency/independent-totals.ts'
import { openTotals } from '../../src/app/wiring/open-totals.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import type { ReconcileDecision } from '../../src/core/charge/reconcile.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { FragileAudit, fragileStore, wanted } from '../ledger/kit.ts'
import { instance, NOW, signed } from '../store/samples.ts'

/** What the chain says in these tests. */
export const block = { number: 1n, hash: `0x${'b'.repeat(64)}`, timestamp: Math.floor(NOW / 1000) + 1000 }

export async function openWithSums(
  name = 'ins_one',
  fragile = fragileStore(),
  outflow?: () => Promise<bigint>,
) {
  const self = instance(name, { host: 'elsewhere' })
  const audit = new FragileAudit()
  const metrics = createMetrics()
  const [auditSums, moves, timers] = [new AuditTotals(name), new MoveWatch(name), new ManualTimers()]
  const logged: { fields: Readonly<Record<string, unknown>>; message: string }[] = []
  const keep = (fields: Readonly<Record<string, unknown>>, message: string): void =>
    void logged.push({ fields, message })
  let serial = name === 'ins_one' ? 0 : 5000
  const faults = { metrics: false }
  const ledger = await Ledger.open({
    store: fragile.store,
    audit: auditSums.watch(audit),
    clock: { now: () => NOW },
    random: (count) => {
      serial += 1
      return Uint8Array.from({ length: count }, (_, n) => (serial >> (n * 5)) & 31)
    },
    instance: self,
    observers: [
      (event) => {
        if (!faults.metrics) metrics.observe(event)
      },
      moves.observe,
    ],
  })
  const sums = openTotals({
    store: fragile.store,
    instance: self,
    audit: auditSums,
    moves,
    metrics,
    log: { error: keep, warn: keep },
    timers,
    clock: { now: () => NOW },
    chain: outflow && { read: outflow, close: () => undefined },
  })
  const authorize = async (n: number, microUsd = 1000n, scheme?: 'upto'): Promise<Charge> => {
    const held = await ledger.reserve(wanted({ amount: microUsd, microUsd }), [], false)
    return await ledger.authorize(held, signed(n, { scheme }))
  }
  /** A charge that the store has as authorized when the audit file refuses; nothing of it is sent. */
  const refuseToRecord = async (n: number, microUsd: bigint): Promise<Charge> => {
    const held = await ledger.reserve(wanted({ amount: microUsd, microUsd }), [], false)
    audit.outage = new Error('no space left')
    await expect(ledger.authorize(held, signed(n))).rejects.toThrow('audit')
    audit.outage = undefined
    return held
  }
  return { refuseToRecord, ledger, audit, metrics, sums, timers, logged, faults, authorize, ...fragile }
}

/** Looks as often as a difference must last; the differences by pair, micro-USD. */
export async function differences(sums: {
  run(): Promise<readonly { readonly pair: string; readonly microUsd: bigint | undefined }[]>
}): Promise<Record<string, bigint | undefined>> {
  for (let look = 0; look < 2; look++) await sums.run()
  return Object.fromEntries((await sums.run()).map(({ pair, microUsd }) => [pair, microUsd]))
}

/** The chain proves that a charge was taken, or never. */
export const proven = (taken: boolean, charged?: bigint): ReconcileDecision =>
  taken
    ? { action: 'settle', transaction: `0x${'1'.repeat(64)}`, flags: [], block, charged }
    : { action: 'release', reason: 'chain_unused', block }

/** Changes what a store's rows say, as a damaged file or another program would. */
export function tamper(
  replaced: Partial<Store>,
  real: Store,
  change: (charge: Charge) => Charge | undefined,
): void {
  replaced.history = async (query) => (await real.history(query)).flatMap((charge) => change(charge) ?? [])
}
