/** What `tollway serve` prints on a terminal once it is ready. */
import { findNetwork } from '../../../core/money/assets.ts'
import type { Provider } from '../../../core/payer/provider.ts'

/** Where a gateway listens. */
export interface ServedAddresses {
  /** Root address, without a trailing slash. */
  readonly url: string
  /** Where `/metrics` is, the path included. */
  readonly metricsUrl?: string | undefined
}

/** The addresses that matter, and the wallets that pay. */
export function banner(
  { url, metricsUrl }: ServedAddresses,
  payers: ReadonlyMap<string, Pick<Provider, 'address' | 'networks'>> = new Map<string, never>(),
): string {
  const lines = [
    ['clients', `${url}/v1`],
    ['spend page', `${url}/dashboard`],
    ['metrics', metricsUrl ?? `${url}/metrics`],
    ...[...payers].flatMap(([name, { address, networks }]) =>
      address === undefined ? [] : [[`payer ${name}`, `${address} on ${networks.map(aliasOf).join(', ')}`]],
    ),
  ]
  const width = Math.max(...lines.map(([name = '']) => name.length))
  return lines.map(([name = '', value = '']) => `  ${name.padEnd(width)}  ${value}\n`).join('')
}

function aliasOf(id: string): string {
  return findNetwork(id)?.alias ?? id
}
