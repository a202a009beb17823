/** The chain's own account of what moved: read by plain JSON-RPC, as somebody outside would. */
import { encodeEventTopics, parseAbiItem } from 'viem'
import { z } from 'zod'
import type { LocalChain } from '../../../src/app/sandbox/chain/chain.ts'

const USED = encodeEventTopics({
  abi: [parseAbiItem('event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce)')],
})[0]
const TRANSFER = encodeEventTopics({
  abi: [parseAbiItem('event Transfer(address indexed from, address indexed to, uint256 value)')],
})[0]

const Logs = z.array(
  z.object({
    topics: z.array(z.string()),
    data: z.string(),
    transactionHash: z.string(),
    blockNumber: z.string(),
  }),
)

/** An authorization of the buyer that the token carried out. */
export interface UsedNonce {
  readonly nonce: string
  readonly transaction: string
  /** Smallest units. */
  readonly amount: bigint
  readonly to: string
}

/** Follows the token's events from block to block. */
export class TokenWatch {
  readonly #chain: LocalChain
  readonly #used: UsedNonce[] = []
  #next = 0n
  #last: Promise<readonly UsedNonce[]> = Promise.resolve([])

  constructor(chain: LocalChain) {
    this.#chain = chain
  }

  /** Every use so far, oldest first. One transaction of the facilitator uses one authorization. */
  uses(): Promise<readonly UsedNonce[]> {
    // In turn: two readers at once would take the same blocks twice.
    this.#last = this.#last.then(() => this.#read())
    return this.#last
  }

  async #read(): Promise<readonly UsedNonce[]> {
    const head = BigInt(String(await this.ask('eth_blockNumber', [])))
    if (head < this.#next) return this.#used
    const { address } = this.#chain.token
    const range = { fromBlock: toHex(this.#next), toBlock: toHex(head) }
    const logs = Logs.parse(
      await this.ask('eth_getLogs', [{ address, ...range, topics: [[USED, TRANSFER]] }]),
    )
    this.#next = head + 1n
    for (const { topics, transactionHash } of logs.filter((log) => log.topics[0] === USED)) {
      const moved = logs.filter(
        (log) => log.topics[0] === TRANSFER && log.transactionHash === transactionHash,
      )
      const [transfer] = moved
      if (!transfer || moved.length > 1) throw new Error(`${transactionHash} moved ${moved.length} times`)
      const to = `0x${(transfer.topics[2] ?? '').slice(-40)}`
      this.#used.push({
        nonce: topics[2] ?? '',
        transaction: transactionHash,
        amount: BigInt(transfer.data),
        to,
      })
    }
    return this.#used
  }

  /** Whether every transaction makes a block at once, or blocks come every two seconds. */
  async setSlowBlocks(slow: boolean): Promise<void> {
    await this.ask('evm_setIntervalMining', [slow ? 2 : 0])
    await this.ask('evm_setAutomine', [!slow])
    if (!slow) await this.#chain.levers.mine(1)
  }

  /** One JSON-RPC question. */
  async ask(method: string, params: readonly unknown[]): Promise<unknown> {
    const reply = await fetch(this.#chain.rpcUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    })
    const { result, error } = (await reply.json()) as { result?: unknown; error?: unknown }
    if (error !== undefined) throw new Error(`${method}: ${JSON.stringify(error)}`)
    return result
  }
}

function toHex(value: bigint): string {
  return `0x${value.toString(16)}`
}
