/** `tollway balance`: the balances of the payers' wallets by network and token, including the network's native coin. */
import { isSolanaNetwork } from '../../core/money/address.ts'
import { findNetwork, type Network } from '../../core/money/assets.ts'
import { formatUnits, formatUsd, toMicroUsd } from '../../core/money/money.ts'
import type { Provider } from '../../core/payer/provider.ts'
import { openSolanaWallet } from '../../io/chain/solana/solana-wallet.ts'
import { openWalletReader, type WalletReader } from '../../io/chain/wallet-reader.ts'
import { openPayers } from '../wiring/open-payers.ts'
import type { BuyingConfig } from './buying-context.ts'

/** One balance. */
export interface Balance {
  readonly payer: string
  readonly address: string
  /** Alias or CAIP-2. */
  readonly network: string
  readonly token: string
  /** In whole tokens; `undefined` if no node could report it. */
  readonly balance: string | undefined
  readonly usd: string | undefined
  /** Permit2's allowance, in whole tokens; `undefined` for native coins. */
  readonly permit2Allowance: string | undefined
  /** Why the balance is missing: `no_node`, `not_deployed`, `no_answer`. */
  readonly problem: string | undefined
}

const TIMEOUT_MS = 10_000
/** Coins of EVM networks have 18 decimals. */
const COIN_DECIMALS = 18
/** SOL has 9. */
const LAMPORT_DECIMALS = 9

/**
 * Reads the balances of all payers with an address.
 * @param only this payer
 * @throws ConfigError, TollwayError `signer_unavailable` when a payer cannot be opened
 */
export async function readBalances(
  config: Pick<BuyingConfig, 'payers' | 'chains' | 'assets'>,
  only: string | undefined,
): Promise<Balance[]> {
  const entries = [...config.payers].filter(([name]) => only === undefined || name === only)
  const opened: Provider[] = []
  try {
    return await balancesOf(
      config,
      await openPayers({ payers: new Map(entries), chains: config.chains }, { opened }),
    )
  } finally {
    await Promise.allSettled(opened.map((provider) => provider.close()))
  }
}

/** The balances of payers that are open. */
export async function balancesOf(
  config: Pick<BuyingConfig, 'chains' | 'assets'>,
  payers: ReadonlyMap<string, Pick<Provider, 'address' | 'networks'>>,
): Promise<Balance[]> {
  const all: Balance[] = []
  for (const [payer, { address, networks }] of payers) {
    if (address === undefined) continue
    for (const network of networks) all.push(...(await onNetwork(config, payer, address, network)))
  }
  return all
}

function openReader({ id, chainId }: Network, rpc: string): WalletReader {
  return chainId === undefined
    ? openSolanaWallet({ rpc, network: id, timeoutMs: TIMEOUT_MS })
    : openWalletReader({ rpc, chainId, timeoutMs: TIMEOUT_MS })
}

async function onNetwork(
  { chains, assets }: Pick<BuyingConfig, 'chains' | 'assets'>,
  payer: string,
  address: string,
  id: string,
): Promise<Balance[]> {
  const network = findNetwork(id)
  const tokens = assets.filter((asset) => asset.network === id)
  const common = { payer, address, network: network?.alias ?? id }
  const unknown = { balance: undefined, usd: undefined, permit2Allowance: undefined }
  const rpc = chains.get(id)?.rpc
  if (rpc === undefined || !network) {
    return tokens.map(({ symbol }) => ({ ...common, token: symbol, ...unknown, problem: 'no_node' }))
  }
  const reader = openReader(network, rpc)
  try {
    const read = tokens.map(async ({ address: token, symbol, decimals, usd }): Promise<Balance> => {
      const funds = await reader.funds(token, address).catch(() => undefined)
      if (!funds?.deployed) {
        const problem = funds ? 'not_deployed' : 'no_answer'
        return { ...common, token: symbol, ...unknown, problem }
      }
      return {
        ...common,
        token: symbol,
        balance: formatUnits(funds.balance, decimals),
        usd: usd && formatUsd(toMicroUsd(funds.balance, decimals, usd)),
        permit2Allowance: isSolanaNetwork(id) ? undefined : formatUnits(funds.allowance, decimals),
        problem: undefined,
      }
    })
    const coin = reader.coin(address).then(
      (balance): Balance => ({
        ...common,
        token: 'native',
        ...unknown,
        balance: formatUnits(balance, isSolanaNetwork(id) ? LAMPORT_DECIMALS : COIN_DECIMALS),
        problem: undefined,
      }),
      (): Balance => ({ ...common, token: 'native', ...unknown, problem: 'no_answer' }),
    )
    return await Promise.all([...read, coin])
  } finally {
    reader.close()
  }
}
