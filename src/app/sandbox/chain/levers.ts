import { createTestClient, defineChain, http, publicActions, walletActions } from 'viem'
import type {
  Address,
  Chain,
  Client,
  Hash,
  HttpTransport,
  PrivateKeyAccount,
  PublicActions,
  TestActions,
  WalletActions,
} from 'viem'
import { tokenAbi } from './token-artifact.ts'

/** Polling interval for receipts and blocks, ms; viem's own 4 s is meant for real networks. */
const pollingInterval = 25

/** Ways to make payments fail on purpose. Each returns once its effect is on the chain. Amounts are atomic units. */
export interface ChainLevers {
  pause(paused: boolean): Promise<void>
  blacklist(account: Address, blacklisted: boolean): Promise<void>
  mint(to: Address, amount: bigint): Promise<void>
  burnFrom(from: Address, amount: bigint): Promise<void>
  mine(blocks: number): Promise<void>
  /** Advances the chain's clock and mines three blocks, so that the finalized block has the new time too. */
  increaseTime(seconds: number): Promise<void>
}

/** A viem client of the local chain. */
export type LocalClient = Client<
  HttpTransport,
  Chain,
  PrivateKeyAccount,
  undefined,
  TestActions &
    PublicActions<HttpTransport, Chain, PrivateKeyAccount> &
    WalletActions<Chain, PrivateKeyAccount>
>

/**
 * Opens a client of the local chain that acts as one account.
 *
 * @param options.name - Name of the chain in viem's error messages.
 */
export function connectLocal(options: {
  rpcUrl: string
  chainId: number
  name: string
  account: PrivateKeyAccount
}): LocalClient {
  const { rpcUrl, chainId, name, account } = options
  return createTestClient({
    account,
    chain: defineChain({
      id: chainId,
      name,
      nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
      rpcUrls: { default: { http: [rpcUrl] } },
    }),
    mode: 'anvil',
    transport: http(rpcUrl, { retryCount: 0 }),
    pollingInterval,
    cacheTime: 0,
  })
    .extend(publicActions)
    .extend(walletActions)
}

/**
 * Waits until a transaction is in a block.
 *
 * @throws {Error} When it reverted there.
 */
export async function mined(client: LocalClient, sent: Promise<Hash>): Promise<void> {
  const receipt = await client.waitForTransactionReceipt({ hash: await sent })
  if (receipt.status !== 'success') throw new Error(`transaction ${receipt.transactionHash} reverted`)
}

/**
 * The levers of a token.
 *
 * @param client - Acts as the token's owner.
 */
export function createLevers(client: LocalClient, token: Address): ChainLevers {
  const contract = { address: token, abi: tokenAbi } as const
  return {
    pause: (paused) =>
      mined(client, client.writeContract({ ...contract, functionName: paused ? 'pause' : 'unpause' })),
    blacklist: (account, blacklisted) =>
      mined(
        client,
        client.writeContract({
          ...contract,
          functionName: blacklisted ? 'blacklist' : 'unBlacklist',
          args: [account],
        }),
      ),
    mint: (to, amount) =>
      mined(client, client.writeContract({ ...contract, functionName: 'mint', args: [to, amount] })),
    burnFrom: (from, amount) =>
      mined(client, client.writeContract({ ...contract, functionName: 'burnFrom', args: [from, amount] })),
    mine: (blocks) => client.mine({ blocks }),
    increaseTime: async (seconds) => {
      await client.increaseTime({ seconds })
      await client.mine({ blocks: 3 })
    },
  }
}
