import type { Provider } from '../src/core/payer/provider.ts'
import { obolSidecar, type ObolSidecarOptions } from './obol/sidecar.ts'

export type { ObolSidecarOptions }

/**
 * Pays through a running Obol x402-buyer, whose upstream points at the address in `shim`. A pool of pre-signed payments
 * without an x402-buyer needs the ledger, so it is opened by the configuration (`kind: obol, mode: pool`).
 * @throws ConfigError for a mistake in the options
 * @throws TollwayError `signer_unavailable` when the shim cannot listen
 */
export async function obol(options: ObolSidecarOptions): Promise<Provider> {
  return await obolSidecar(options)
}
