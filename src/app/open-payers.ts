/** Opens the configured payers, each by the factory of its kind. */
import { direct } from '../../providers/direct.ts'
import type { Clock } from '../core/clock.ts'
import type { Provider } from '../core/provider.ts'
import type { ResolvedConfig, ResolvedPayer } from './config/resolved.ts'

/** What payers are opened with. */
export interface PayerParts {
  readonly clock?: Clock | undefined
  /** Payers of the program itself; of one name this one wins. */
  readonly own?: ReadonlyMap<string, Provider> | undefined
  /** Each opened payer is added at once, so that the caller can close them when a later one fails. */
  readonly opened: { close(): Promise<void> }[]
}

/**
 * Opens all payers of a configuration.
 * @throws ConfigError, TollwayError `signer_unavailable`
 */
export async function openPayers(
  config: Pick<ResolvedConfig, 'payers'>,
  parts: PayerParts,
): Promise<ReadonlyMap<string, Provider>> {
  const payers = new Map<string, Provider>()
  for (const [name, payer] of config.payers) {
    if (parts.own?.has(name)) continue
    const provider = await openPayer(payer, parts)
    parts.opened.push(provider)
    payers.set(name, provider)
  }
  for (const [name, payer] of parts.own ?? []) payers.set(name, payer)
  return payers
}

async function openPayer(payer: ResolvedPayer, { clock }: PayerParts): Promise<Provider> {
  switch (payer.kind) {
    case 'direct':
      return await direct({ key: payer.key, networks: payer.networks, clock })
    default:
      return payer.kind satisfies never
  }
}
