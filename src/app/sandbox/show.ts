/** Output shared by both forms of the sandbox command. */
import { formatUnits } from '../../core/money/money.ts'
import type { World } from './world.ts'

/** One model for each seller: streaming x402 v2, official x402 v2 (buffers), x402 v1, and an unpaid one. */
export const modelIds = [
  'paid/sandbox-small',
  'official/sandbox-small',
  'v1/sandbox-small',
  'free/sandbox-small',
] as const

/** Balances of the paying wallet and of the seller, atomic units of USDC. */
export async function balances(world: World): Promise<{ readonly wallet: bigint; readonly seller: bigint }> {
  const { accounts } = world.chain
  const [wallet, seller] = await Promise.all([
    world.chain.balanceOf(accounts.buyer.address),
    world.chain.balanceOf(accounts.seller.address),
  ])
  return { wallet, seller }
}

/** Formats atomic units as USDC. */
export function usdc(amount: bigint): string {
  return formatUnits(amount, 6)
}
