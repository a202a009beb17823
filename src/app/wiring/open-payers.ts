/** Opens the configured payers, each by the factory of its kind. */
import { direct } from '../../../providers/direct/direct.ts'
import { solana } from '../../../providers/solana/solana.ts'
import type { Clock } from '../../core/clock.ts'
import { isSolanaNetwork } from '../../core/money/address.ts'
import type { Provider } from '../../core/payer/provider.ts'
import type { ResolvedObolPool } from '../config/resolve/resolve-obol.ts'
import type { ResolvedConfig, ResolvedPayer } from '../config/resolve/resolved.ts'
import { openExternalPayer } from './open-external-payer.ts'

/** Dependencies of the payers. */
export interface PayerContext {
  readonly clock?: Clock | undefined
  /** Payers passed in by the embedding program; they take precedence over configured ones of the same name. */
  readonly own?: ReadonlyMap<string, Provider> | undefined
  /** Each opened payer is added at once, so that the caller can close it if a later one fails. */
  readonly opened: { close(): Promise<void> }[]
}

/**
 * Opens all payers of a configuration.
 * @throws ConfigError, TollwayError `signer_unavailable`
 */
export async function openPayers(
  config: Pick<ResolvedConfig, 'payers' | 'chains'>,
  context: PayerContext,
): Promise<ReadonlyMap<string, Provider>> {
  const payers = new Map<string, Provider>()
  for (const [name, payer] of config.payers) {
    // Voucher pools need the ledger, which is opened after the keys.
    if (context.own?.has(name) || isPool(payer)) continue
    const provider = await openPayer(payer, config, context)
    context.opened.push(provider)
    payers.set(name, provider)
  }
  for (const [name, payer] of context.own ?? []) payers.set(name, payer)
  return payers
}

/** Whether a payer is a pool of vouchers, which is opened on the ledger. */
export function isPool(payer: ResolvedPayer): payer is ResolvedObolPool {
  return payer.kind === 'obol' && payer.mode === 'pool'
}

/** Opens one payer. @throws as {@link openPayers} */
export async function openPayer(
  payer: Exclude<ResolvedPayer, ResolvedObolPool>,
  { chains }: Pick<ResolvedConfig, 'chains'>,
  { clock }: PayerContext,
): Promise<Provider> {
  const nodes = Object.fromEntries(
    [...chains]
      .filter(([network]) => isSolanaNetwork(network) === (payer.kind === 'solana'))
      .map(([network, { rpc }]) => [network, rpc]),
  )
  switch (payer.kind) {
    case 'direct':
      return await direct({ key: payer.key, networks: payer.networks, nodes, clock })
    case 'solana':
      return await solana({ key: payer.key, networks: payer.networks, nodes, clock })
    case 'obol':
    case 'agentcash':
      return await openExternalPayer(payer, nodes, clock)
    default:
      return payer satisfies never
  }
}
