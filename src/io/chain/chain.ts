/**
 * Reads one EVM network over JSON-RPC. Read-only: it can neither sign nor send. Nothing is retried or cached; the caller decides
 * how far to trust an answer.
 */
import {
  getAddress,
  HttpRequestError,
  parseAbi,
  ResponseBodyTooLargeError,
  RpcRequestError,
  TimeoutError,
  toEventSelector,
  type Hex,
} from 'viem'
import { PERMIT2_ADDRESS } from '../../core/evm-contracts.ts'
import type { ChainBlock } from '../../core/charge/reconcile.ts'
import type { ChainOptions, Finality } from './chain-options.ts'
import { nodeClient } from './node-client.ts'

/** A contract event as reported by a node. Hex in lower case. */
export interface ChainLog {
  readonly address: string
  readonly topics: readonly string[]
  readonly data: string
  readonly transaction: string
  readonly blockNumber: bigint
}

/** What a transaction did. */
export interface ChainReceipt {
  readonly transaction: string
  readonly blockNumber: bigint
  readonly succeeded: boolean
  readonly logs: readonly ChainLog[]
}

/** Which events {@link ChainReader.logs} lists: any of `topics[0]`, and exactly the following ones. */
export interface LogQuery {
  readonly address: string
  readonly topics: readonly (string | readonly string[])[]
  readonly from: bigint
  readonly to: bigint
}

/** Why a node gave no usable answer. The message never contains the node's address. */
export class ChainError extends Error {
  override readonly name = 'ChainError'
  /** `timeout`, `unreachable`, `http_<status>`, `rpc_error`, `bad_answer`, or a contradiction in its answers. */
  readonly reason: string

  constructor(reason: string) {
    super(`the node gave no usable answer: ${reason}`)
    this.reason = reason
  }
}

/** Signatures of the events the reconciler looks for (EIP-20, EIP-3009, Permit2). */
export const TOPICS = {
  transfer: toEventSelector('Transfer(address,address,uint256)'),
  used: toEventSelector('AuthorizationUsed(address,bytes32)'),
  canceled: toEventSelector('AuthorizationCanceled(address,bytes32)'),
  invalidated: toEventSelector('UnorderedNonceInvalidation(address,uint256,uint256)'),
} as const

const AUTHORIZATION_STATE = parseAbi(['function authorizationState(address, bytes32) view returns (bool)'])
const NONCE_BITMAP = parseAbi(['function nonceBitmap(address, uint256) view returns (uint256)'])

/** One network. Every method throws {@link ChainError} when the node gives no usable answer. */
export interface ChainReader {
  /** CAIP-2. */
  readonly network: string
  readonly finality: Finality
  /** `eth_chainId`. */
  chainId(): Promise<number>
  /** The newest block of the configured finality. */
  finalBlock(): Promise<ChainBlock>
  /** The number of the newest block of all. */
  newest(): Promise<bigint>
  block(number: bigint): Promise<ChainBlock>
  /** EIP-3009: whether the nonce is used up at this block. */
  authorizationState(asset: string, from: string, nonce: string, at: bigint): Promise<boolean>
  /** Permit2: the bits of a word of nonces at this block. */
  nonceBitmap(owner: string, word: bigint, at: bigint): Promise<bigint>
  logs(query: LogQuery): Promise<readonly ChainLog[]>
  /** `undefined` for a transaction the node does not know. */
  receipt(transaction: string): Promise<ChainReceipt | undefined>
  /** The call data of a transaction. */
  input(transaction: string): Promise<string>
  /** Aborts calls in progress; later calls fail. */
  close(): void
}

/** Opens a reader. Nothing is sent before the first call. */
export function openChain(options: ChainOptions): ChainReader {
  const { network, finality } = options
  const closing = new AbortController()
  const client = nodeClient(options, closing.signal)
  const toBlock = (block: { number: bigint | null; timestamp: bigint; hash: Hex | null }): ChainBlock => {
    if (block.number === null || block.hash === null) throw new ChainError('bad_answer')
    return { number: block.number, timestamp: Number(block.timestamp), hash: block.hash.toLowerCase() }
  }
  return {
    network,
    finality,
    chainId: () => asking(client.getChainId()),
    finalBlock: () => asking(client.getBlock({ blockTag: finality }).then(toBlock)),
    newest: () => asking(client.getBlockNumber()),
    block: (number) =>
      asking(
        client.getBlock({ blockNumber: number }).then((block) => {
          if (block.number !== number) throw new ChainError('bad_answer')
          return toBlock(block)
        }),
      ),
    authorizationState: (asset, from, nonce, at) =>
      asking(
        client.readContract({
          address: getAddress(asset),
          abi: AUTHORIZATION_STATE,
          functionName: 'authorizationState',
          args: [getAddress(from), hex(nonce)],
          blockNumber: at,
        }),
      ),
    nonceBitmap: (owner, word, at) =>
      asking(
        client.readContract({
          address: PERMIT2_ADDRESS,
          abi: NONCE_BITMAP,
          functionName: 'nonceBitmap',
          args: [getAddress(owner), word],
          blockNumber: at,
        }),
      ),
    logs: ({ address, topics, from, to }) =>
      asking(
        client
          .request({
            method: 'eth_getLogs',
            params: [
              {
                address: hex(address),
                topics: topics.map((topic) => (typeof topic === 'string' ? hex(topic) : topic.map(hex))),
                fromBlock: `0x${from.toString(16)}`,
                toBlock: `0x${to.toString(16)}`,
              },
            ],
          })
          .then((logs) => logs.map(toLog)),
      ),
    receipt: (transaction) =>
      asking(
        client.request({ method: 'eth_getTransactionReceipt', params: [hex(transaction)] }).then((receipt) =>
          receipt
            ? {
                transaction: receipt.transactionHash.toLowerCase(),
                blockNumber: BigInt(receipt.blockNumber),
                succeeded: receipt.status === '0x1',
                logs: receipt.logs.map(toLog),
              }
            : undefined,
        ),
      ),
    input: (transaction) =>
      asking(
        client
          .request({ method: 'eth_getTransactionByHash', params: [hex(transaction)] })
          .then((found) => found?.input.toLowerCase() ?? '0x'),
      ),
    close: () => closing.abort(),
  }
}

/** Nodes are not trusted: an entry that is not a log makes the whole answer invalid. */
function toLog(log: {
  address: string
  topics: readonly string[]
  data: string
  transactionHash: string | null
  blockNumber: string | null
}): ChainLog {
  if (log.transactionHash === null || log.blockNumber === null) throw new ChainError('bad_answer')
  return {
    address: log.address.toLowerCase(),
    topics: log.topics.map((topic) => topic.toLowerCase()),
    data: log.data,
    transaction: log.transactionHash.toLowerCase(),
    blockNumber: BigInt(log.blockNumber),
  }
}

function hex(text: string): Hex {
  return `0x${text.replace(/^0x/, '')}`
}

/** Turns every failure into a {@link ChainError}: viem's own messages contain the node's address. */
export async function asking<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    throw error instanceof ChainError ? error : new ChainError(reasonOf(error))
  }
}

function reasonOf(error: unknown): string {
  const causes: unknown[] = []
  for (
    let at = error;
    at !== undefined && causes.length < 10;
    at = at instanceof Error ? at.cause : undefined
  ) {
    causes.push(at)
  }
  if (causes.some((cause) => cause instanceof TimeoutError)) return 'timeout'
  if (causes.some((cause) => cause instanceof RpcRequestError)) return 'rpc_error'
  if (causes.some((cause) => cause instanceof ResponseBodyTooLargeError)) return 'bad_answer'
  const failed = causes.find((cause) => cause instanceof HttpRequestError)
  if (failed) return failed.status === undefined ? 'unreachable' : `http_${failed.status}`
  return 'bad_answer'
}
