/** Reads the payers' wallet balances from the chains in the background, so that a scrape never waits for a node. */
import { erc20Abi, getAddress } from 'viem'
import { findEvmNetwork, type Asset } from '../../core/money/assets.ts'
import { isSolanaNetwork } from '../../core/money/address.ts'
import { toMicroUsd } from '../../core/money/money.ts'
import type { Timers } from '../../core/timers.ts'
import { openSolanaWallet } from '../chain/solana/solana-wallet.ts'
import { nodeClient } from '../chain/node-client.ts'
import type { WalletReading } from './metric-sources.ts'

/** A wallet whose balances are read. */
export interface Wallet {
  readonly payer: string
  /** The paying address. */
  readonly address: string
  /** CAIP-2. */
  readonly networks: readonly string[]
}

/** Options of {@link watchWalletBalances}. */
export interface WalletsOptions {
  readonly wallets: readonly Wallet[]
  /** Assets with a USD value are read on every network of the wallet that has a node. */
  readonly assets: readonly Asset[]
  /** JSON-RPC addresses by CAIP-2 network. They may contain keys and are never shown. */
  readonly nodes: ReadonlyMap<string, string>
  readonly timers: Timers
  /** Milliseconds between two readings; default 60,000. */
  readonly intervalMs?: number | undefined
}

/** The balances of the payers' wallets. */
export interface WalletBalances {
  /** The latest balances. A balance that could not be read is listed without a number. */
  readonly newest: () => readonly WalletReading[]
  /** Reads all balances now. Never rejects. */
  readonly refresh: () => Promise<void>
  readonly close: () => void
}

const INTERVAL_MS = 60_000
const TIMEOUT_MS = 10_000
/** A balance is 32 bytes; a node that sends more than this is broken. */
const MAX_RESPONSE_BYTES = 65_536

/** Reads immediately and then at every interval. Does nothing without a node or a wallet. */
export function watchWalletBalances(options: WalletsOptions): WalletBalances {
  const { wallets, assets, nodes, timers, intervalMs = INTERVAL_MS } = options
  const closing = new AbortController()
  const pairs = wallets.flatMap(({ payer, address, networks }) =>
    assets.flatMap((asset) => {
      const rpc = networks.includes(asset.network) ? nodes.get(asset.network) : undefined
      return rpc === undefined || asset.usd === undefined
        ? []
        : [{ payer, address, asset, rpc, rate: asset.usd }]
    }),
  )
  let readings: readonly WalletReading[] = []
  let cancel = (): void => {}
  const refresh = async (): Promise<void> => {
    readings = await Promise.all(
      pairs.map(async ({ payer, address, asset, rpc, rate }) => {
        const balance = await balanceOf(asset, address, rpc, closing.signal).catch(() => undefined)
        const microUsd = balance === undefined ? undefined : toMicroUsd(balance, asset.decimals, rate)
        return { payer, address, network: asset.network, asset: asset.symbol, microUsd }
      }),
    )
  }
  const run = async (): Promise<void> => {
    await refresh()
    if (!closing.signal.aborted) cancel = timers.after(intervalMs, () => void run())
  }
  if (pairs.length > 0) void run()
  return {
    newest: () => readings,
    refresh,
    close() {
      closing.abort()
      cancel()
    },
  }
}

/** @throws when the node gives no usable answer or serves another network */
async function balanceOf(asset: Asset, owner: string, rpc: string, closing: AbortSignal): Promise<bigint> {
  if (isSolanaNetwork(asset.network)) return await solanaBalance(asset, owner, rpc, closing)
  const client = nodeClient({ rpc, maxResponseBytes: MAX_RESPONSE_BYTES }, closing)
  const chain = await client.getChainId()
  if (chain !== findEvmNetwork(asset.network)?.chainId) throw new Error('the node serves another network')
  return await client.readContract({
    address: getAddress(asset.address),
    abi: erc20Abi,
    functionName: 'balanceOf',
    args: [getAddress(owner)],
  })
}

async function solanaBalance(
  { network, address }: Asset,
  owner: string,
  rpc: string,
  closing: AbortSignal,
): Promise<bigint> {
  const reader = openSolanaWallet({ network, rpc, timeoutMs: TIMEOUT_MS })
  const close = (): void => reader.close()
  closing.addEventListener('abort', close)
  try {
    const funds = await reader.funds(address, owner)
    if (!funds.deployed) throw new Error('there is no such mint')
    return funds.balance
  } finally {
    closing.removeEventListener('abort', close)
    close()
  }
}
