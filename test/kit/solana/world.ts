/** A Solana chain with its node, a buyer, a facilitator and sellers, for tests of whole payments. */
import { createWallet, SolanaChain, type TestWallet } from './chain.ts'
import {
  startSolanaFacilitator,
  startSolanaSeller,
  type SolanaFacilitator,
  type SolanaNetwork,
  type SolanaSellerOptions,
} from './official.ts'
import { startSolanaRpc, type SolanaRpc } from './rpc.ts'
import type { LocalSeller } from '../../../src/app/sandbox/sellers/seller-app.ts'

/** Devnet, and Circle's USDC there. */
export const DEVNET: SolanaNetwork = 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1'
export const DEVNET_USDC = '4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU'
/** Devnet's genesis hash begins with the network's CAIP-2 reference; the rest does not matter here. */
const DEVNET_GENESIS = 'EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG'

/** See the file's head. */
export interface SolanaWorld {
  readonly chain: SolanaChain
  readonly rpc: SolanaRpc
  readonly facilitator: SolanaFacilitator
  readonly buyer: TestWallet
  readonly seller: TestWallet
  readonly feePayer: TestWallet
  startSeller(options?: Partial<SolanaSellerOptions>): Promise<LocalSeller>
  /** What the buyer and the seller have of USDC, smallest units. */
  balances(): { readonly buyer: bigint; readonly seller: bigint }
  close(): Promise<void>
}

/** Starts a world on devnet's names; the buyer has 100 USDC and no SOL. */
export async function startSolanaWorld(): Promise<SolanaWorld> {
  const chain = new SolanaChain(DEVNET_GENESIS)
  const [buyer, seller, feePayer] = [createWallet(), createWallet(), createWallet()]
  chain.putMint(DEVNET_USDC)
  chain.putTokens(DEVNET_USDC, buyer.address, 100_000_000n)
  chain.putTokens(DEVNET_USDC, seller.address, 0n)
  chain.airdrop(feePayer.address, 10_000_000_000n)
  const rpc = await startSolanaRpc(chain)
  const facilitator = await startSolanaFacilitator({ feePayer, network: DEVNET, rpcUrl: rpc.url })
  const sellers: LocalSeller[] = []
  return {
    chain,
    rpc,
    facilitator,
    buyer,
    seller,
    feePayer,
    async startSeller(options = {}) {
      const started = await startSolanaSeller({
        facilitatorUrl: facilitator.url,
        network: DEVNET,
        payTo: seller.address,
        ...options,
      })
      sellers.push(started)
      return started
    },
    balances() {
      const of = (wallet: TestWallet): bigint => chain.tokens(DEVNET_USDC, wallet.address) ?? 0n
      return { buyer: of(buyer), seller: of(seller) }
    },
    async close() {
      await Promise.all(sellers.map((each) => each.close()))
      await facilitator.close()
      await rpc.close()
    },
  }
}
