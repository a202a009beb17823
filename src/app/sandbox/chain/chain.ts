import type { Address, Hash, Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { EXACT_PROXY, PERMIT2_ADDRESS, UPTO_PROXY } from '../../../core/evm-contracts.ts'
import { localAccounts, publishedMnemonic } from './accounts.ts'
import type { LocalAccounts } from './accounts.ts'
import { startAnvil } from './anvil-process.ts'
import { findAnvil } from './find-anvil.ts'
import { connectLocal, createLevers, mined } from './levers.ts'
import type { ChainLevers } from './levers.ts'
import {
  exactSpenderRuntime,
  multicallRuntime,
  permit2Runtime,
  tokenAbi,
  tokenRuntime,
  uptoSpenderRuntime,
} from './token-artifact.ts'

/** Multicall3's address on every chain; the official facilitator expects it there. */
const multicallAddress = '0xcA11bde05977b3631167028862bE2a173976CA11'
/** The buyer's initial balance: 1,000 USDC. */
const buyerFunds = 1_000_000_000n

const decimals = 6
const symbol = 'USDC'
// Circle's USDC contracts with the EIP-712 domain each was deployed with.
const networks: ReadonlyMap<number, { v1Network: string; address: Address; name: string }> = new Map([
  [84532, { v1Network: 'base-sepolia', address: '0x036CbD53842c5426634e7929541eC2318f3dCF7e', name: 'USDC' }],
  [8453, { v1Network: 'base', address: '0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913', name: 'USD Coin' }],
])

/** How to start the local chain. */
export interface StartChainOptions {
  /** 84532 (Base Sepolia, the default) or 8453 (Base): the networks whose USDC the sandbox can imitate. Others need `token`. */
  chainId?: number | undefined
  /** Address and EIP-712 domain name of the token on another chain. */
  token?: { address: Address; name: string } | undefined
  /** Seconds between blocks; 0 (the default) mines every transaction at once. */
  blockTimeSeconds?: number | undefined
  /** TCP port of the RPC; 0 (the default) takes a free one. */
  port?: number | undefined
  /** Path of the anvil binary; searched for if omitted. */
  anvilPath?: string | undefined
  /** Receives anvil's output, line by line. */
  log?: ((line: string) => void) | undefined
}

/** The token on the local chain: our own contract at the network's real USDC address. */
export interface LocalToken {
  address: Address
  /** EIP-712 domain name. */
  name: string
  /** EIP-712 domain version. */
  version: string
  decimals: number
  symbol: string
}

/** One `Transfer` event of the token. `from` is the zero address when tokens were minted. */
export interface LocalTransfer {
  from: Address
  to: Address
  /** Atomic units. */
  value: bigint
  transaction: Hash
  blockNumber: bigint
}

/** A chain on this machine, with a token for payments. */
export interface LocalChain {
  rpcUrl: string
  chainId: number
  /** CAIP-2, e.g. `eip155:84532`. */
  network: `eip155:${number}`
  /** x402 v1's name of the network, e.g. `base-sepolia`. */
  v1Network: string
  token: LocalToken
  accounts: LocalAccounts
  pid: number
  levers: ChainLevers
  /** Token balance in atomic units. */
  balanceOf(account: Address): Promise<bigint>
  /** EIP-3009: whether this authorization was used or cancelled. */
  authorizationState(authorizer: Address, nonce: Hex): Promise<boolean>
  /** The token's `Transfer` events since the chain began, oldest first. */
  transfers(filter?: { from?: Address | undefined; to?: Address | undefined }): Promise<LocalTransfer[]>
  close(): Promise<void>
}

/**
 * Starts a local chain: anvil, our token at the network's real USDC address (so that unmodified x402 clients and
 * sellers accept it), a multicall contract, and Permit2 with x402's two spenders (our own too). The buyer gets 1,000 USDC and no ether.
 *
 * @throws {SandboxPackagesMissingError} When anvil is not installed.
 * @throws {Error} When the chain id is not one of the two, or anvil exits at start.
 */
export async function startChain(options: StartChainOptions = {}): Promise<LocalChain> {
  const { chainId = 84532, blockTimeSeconds = 0 } = options
  const usdc =
    networks.get(chainId) ?? (options.token && { v1Network: `eip155:${chainId}`, ...options.token })
  if (usdc === undefined) {
    const known = [...networks].map(([id, { v1Network }]) => `${id} (${v1Network})`).join(' or ')
    throw new Error(`The sandbox has no USDC for chain id ${chainId}. Use ${known}.`)
  }
  const anvil = await startAnvil(
    findAnvil({ anvilPath: options.anvilPath }),
    // One slot an epoch keeps "safe" and "finalized" one and two blocks behind, not 32 and 64. States are kept in
    // memory only: those spilled to disk would stay behind when anvil is killed.
    ['--chain-id', String(chainId), '--mnemonic', publishedMnemonic].concat(
      ['--slots-in-an-epoch', '1'],
      ['--max-persisted-states', '0'],
    ),
    options.port ?? 0,
    options.log,
  )
  try {
    return await furnish({ anvil, chainId, usdc, blockTimeSeconds })
  } catch (error) {
    await anvil.close()
    throw error
  }
}

async function furnish(context: {
  anvil: Awaited<ReturnType<typeof startAnvil>>
  chainId: number
  usdc: { v1Network: string; address: Address; name: string }
  blockTimeSeconds: number
}): Promise<LocalChain> {
  const { anvil, chainId, usdc, blockTimeSeconds } = context
  const { rpcUrl, pid } = anvil
  const token: LocalToken = { address: usdc.address, name: usdc.name, version: '2', decimals, symbol }
  const accounts = localAccounts()
  const owner = privateKeyToAccount(accounts.tokenOwner.privateKey)
  const client = connectLocal({ rpcUrl, chainId, name: usdc.v1Network, account: owner })
  const contract = { address: token.address, abi: tokenAbi } as const
  const levers = createLevers(client, token.address)

  await client.setLoggingEnabled(false)
  await client.setCode({ address: token.address, bytecode: tokenRuntime })
  await client.setCode({ address: multicallAddress, bytecode: multicallRuntime })
  await client.setCode({ address: PERMIT2_ADDRESS, bytecode: permit2Runtime })
  await client.setCode({ address: EXACT_PROXY, bytecode: exactSpenderRuntime })
  await client.setCode({ address: UPTO_PROXY, bytecode: uptoSpenderRuntime })
  await mined(
    client,
    client.writeContract({
      ...contract,
      functionName: 'initialize',
      args: [token.name, token.version, token.symbol, token.decimals, owner.address],
    }),
  )
  await levers.mint(accounts.buyer.address, buyerFunds)
  // No ether: the buyer only signs. A payment that needed gas would fail here.
  await client.setBalance({ address: accounts.buyer.address, value: 0n })
  // Set only now, so that the setup above does not wait for blocks.
  if (blockTimeSeconds > 0) {
    await client.setAutomine(false)
    await client.setIntervalMining({ interval: blockTimeSeconds })
  }

  return {
    rpcUrl,
    chainId,
    network: `eip155:${chainId}`,
    v1Network: usdc.v1Network,
    token,
    accounts,
    pid,
    levers,
    balanceOf: (account) => client.readContract({ ...contract, functionName: 'balanceOf', args: [account] }),
    authorizationState: (authorizer, nonce) =>
      client.readContract({ ...contract, functionName: 'authorizationState', args: [authorizer, nonce] }),
    async transfers(filter = {}) {
      const logs = await client.getContractEvents({
        ...contract,
        eventName: 'Transfer',
        args: { ...(filter.from && { from: filter.from }), ...(filter.to && { to: filter.to }) },
        fromBlock: 0n,
        strict: true,
      })
      return logs.map(({ args, transactionHash, blockNumber }) => ({
        from: args.from,
        to: args.to,
        value: args.value,
        transaction: transactionHash,
        blockNumber,
      }))
    },
    close: () => anvil.close(),
  }
}
