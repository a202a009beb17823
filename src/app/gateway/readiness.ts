/** What every paid call needs: readiness fails with what paid calls would answer. */
import type { HealthCheck } from '../../../middleware/health.ts'
import type { Provider } from '../../core/payer/provider.ts'
import type { Route } from '../../core/routing/route.ts'
import type { FreeSpace } from '../../io/files/free-space.ts'
import type { Ledger } from '../../io/ledger/ledger.ts'

/** What paid calls need of a gateway. */
export interface ReadinessContext {
  readonly routes: readonly Pick<Route, 'payer'>[]
  readonly payers: ReadonlyMap<string, Provider>
  readonly ledger: Pick<Ledger, 'ping'>
  readonly space: Pick<FreeSpace, 'check'>
}

/**
 * The checks of readiness.
 * @returns `required` where there are paid routes: the ledger with its audit file, free space on their disks, and one payer at least that can
 * authorize. Without paid routes the ledger is checked, and its failure stops nothing
 */
export function readinessChecks({ routes, payers, ledger, space }: ReadinessContext): {
  readonly required: Readonly<Record<string, HealthCheck>>
  readonly checks: Readonly<Record<string, HealthCheck>>
} {
  const names = new Set(routes.flatMap(({ payer }) => payer ?? []))
  const paying = [...names].flatMap((name) => payers.get(name) ?? [])
  const checks = { ledger: () => ledger.ping(), disk: async () => space.check() }
  if (names.size === 0) return { required: {}, checks }
  return { required: { ...checks, signer: () => onePays(paying) }, checks: {} }
}

/** @throws what the first payer says, when none can authorize */
async function onePays(payers: readonly Provider[]): Promise<void> {
  const results = await Promise.allSettled(payers.map(async (payer) => await payer.check?.()))
  const [first] = results
  if (first?.status === 'rejected' && results.every(({ status }) => status === 'rejected')) throw first.reason
}
