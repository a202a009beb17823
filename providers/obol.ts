import type { Provider } from '../src/core/payer/provider.ts'
import { obolPool, type ObolPoolPayerOptions } from './obol/pool-payer.ts'
import { obolSidecar, type ObolSidecarOptions } from './obol/sidecar.ts'

export type { ObolPoolPayerOptions, ObolSidecarOptions }

/**
 * Pays as Obol's x402-buyer does. With `config`: from its pool of pre-signed payments, without an x402-buyer and without a key.
 * With `url`: through a running x402-buyer, whose upstream points at the address in `shim`.
 *
 * @example
 *   const { ledger } = await openLedger({ store: 'sqlite:./tollway.db' })
 *   const payer = await obol({ config: './buyer-config', auths: './buyer-auths', ledger })
 *   app.use(budgetGuard({ ledger, budgets }), paymentInterceptor({ payers: { obol: payer } }))
 * @throws ConfigError for a mistake in the options, or files that cannot be read
 * @throws TollwayError `signer_unavailable` when the shim cannot listen; `store_unavailable`
 */
export async function obol(options: ObolSidecarOptions | ObolPoolPayerOptions): Promise<Provider> {
  return 'config' in options ? await obolPool(options) : await obolSidecar(options)
}
