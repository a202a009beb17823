/** Reads what a wallet can pay on one network, from the latest block: the result only predicts failures and never proves a payment. */
import { erc20Abi, getAddress, parseAbi } from 'viem'
import { PERMIT2_ADDRESS } from '../../core/evm-contracts.ts'
import { asking, ChainError } from './chain.ts'
import { nodeClient } from './node-client.ts'

const TOKEN = parseAbi([
  'function nonces(address) view returns (uint256)',
  'function DOMAIN_SEPARATOR() view returns (bytes32)',
])

/** A wallet's funds in one token. */
export interface WalletFunds {
  /** Whether there is a contract at the token's address; if not, everything else is zero. */
  readonly deployed: boolean
  /** Smallest units. */
  readonly balance: bigint
  /** How much Permit2 may take, smallest units. */
  readonly allowance: bigint
}

/** Every method throws {@link ChainError} when the node gives no usable answer or serves another chain. */
export interface WalletReader {
  funds(asset: string, owner: string): Promise<WalletFunds>
  /** The code at the owner's address, lower-case hex; `0x` for a plain wallet. */
  code(owner: string): Promise<string>
  /** The owner's balance in the network's own coin, wei. */
  coin(owner: string): Promise<bigint>
  /** The owner's next EIP-2612 nonce. */
  permitNonce(asset: string, owner: string): Promise<bigint>
  /** `DOMAIN_SEPARATOR()` of the token, lower-case hex. */
  separator(asset: string): Promise<string>
  /** Aborts calls in progress; later calls fail. */
  close(): void
}

/** How to read a wallet. */
export interface WalletReaderOptions {
  /** JSON-RPC over HTTP(S). It may contain a key and is never shown. */
  readonly rpc: string
  /** What `eth_chainId` must return. */
  readonly chainId: number
  /** Milliseconds. */
  readonly timeoutMs: number
}

/** Opens a reader. Nothing is sent before the first call. */
export function openWalletReader(options: WalletReaderOptions): WalletReader {
  const closing = new AbortController()
  const client = nodeClient(options, closing.signal)
  let verified = false
  const onChain = async <T>(work: () => Promise<T>): Promise<T> => {
    if (!verified) {
      if ((await asking(client.getChainId())) !== options.chainId) throw new ChainError('wrong_chain_id')
      verified = true
    }
    return await asking(work())
  }
  return {
    funds: (asset, owner) =>
      onChain(async () => {
        const address = getAddress(asset)
        const [code, balance, allowance] = await Promise.all([
          client.getCode({ address }),
          orZero(
            client.readContract({
              address,
              abi: erc20Abi,
              functionName: 'balanceOf',
              args: [getAddress(owner)],
            }),
          ),
          orZero(
            client.readContract({
              address,
              abi: erc20Abi,
              functionName: 'allowance',
              args: [getAddress(owner), getAddress(PERMIT2_ADDRESS)],
            }),
          ),
        ])
        if (code === undefined || code === '0x') return { deployed: false, balance: 0n, allowance: 0n }
        if (balance instanceof Error) throw balance
        if (allowance instanceof Error) throw allowance
        return { deployed: true, balance, allowance }
      }),
    code: (owner) =>
      onChain(async () => ((await client.getCode({ address: getAddress(owner) })) ?? '0x').toLowerCase()),
    coin: (owner) => onChain(() => client.getBalance({ address: getAddress(owner) })),
    permitNonce: (asset, owner) =>
      onChain(() =>
        client.readContract({
          address: getAddress(asset),
          abi: TOKEN,
          functionName: 'nonces',
          args: [getAddress(owner)],
        }),
      ),
    separator: (asset) =>
      onChain(() =>
        client.readContract({ address: getAddress(asset), abi: TOKEN, functionName: 'DOMAIN_SEPARATOR' }),
      ),
    close: () => closing.abort(),
  }
}

/** Returns a failure as a value: a call to an address without a contract fails, and the missing code then explains it. */
async function orZero(answer: Promise<bigint>): Promise<bigint | Error> {
  try {
    return await answer
  } catch (error) {
    return error instanceof Error ? error : new Error('unknown')
  }
}
