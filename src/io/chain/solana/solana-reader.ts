/**
 * Reads one Solana network. Read-only: it can neither sign nor send. Nothing is retried or remembered: the caller
 * decides what an answer is worth.
 */
import { z } from 'zod'
import { isSolanaAddress } from '../../../core/solana/address.ts'
import { openSolanaNode, type SolanaNodeOptions } from './solana-node.ts'

/** A block hash that a transaction can name, and how long. */
export interface RecentBlockhash {
  readonly blockhash: string
  /** The last height of a block that may hold a transaction with it. */
  readonly lastValidHeight: number
  /** The slot at which the node said so. */
  readonly slot: number
}

/** The newest block that can no longer be replaced. */
export interface FinalBlock {
  readonly slot: number
  /** Blocks before it: less than slots, because slots can stay empty. */
  readonly height: number
}

/** A transaction in the list of an account. */
export interface ListedTransaction {
  /** The fee payer's signature, base58: what Solana calls the transaction. */
  readonly signature: string
  readonly slot: number
  /** It is in a block and did nothing. */
  readonly failed: boolean
  /** Its memos, as the node writes them; `undefined` when the node tells none. */
  readonly memo: string | undefined
}

/** Which transactions {@link SolanaReader.transactions} lists: newest first. */
export interface ListQuery {
  /** Only those before this one. */
  readonly before: string | undefined
  /** The node must have seen this slot. */
  readonly minSlot: number
}

/** The most that a node lists at once. */
export const LIST_PAGE = 1000

/** One network. Every method throws `ChainError` when the node gives no usable answer. */
export interface SolanaReader {
  /** CAIP-2. */
  readonly network: string
  /** The hash of the chain's first block. */
  genesis(): Promise<string>
  recentBlockhash(): Promise<RecentBlockhash>
  finalBlock(): Promise<FinalBlock>
  /** Unix seconds. */
  blockTime(slot: number): Promise<number>
  /** The first slot whose transactions the node still has. */
  firstSlot(): Promise<number>
  /** Final transactions that name an account, {@link LIST_PAGE} at most. */
  transactions(account: string, query: ListQuery): Promise<readonly ListedTransaction[]>
  /** The bytes of a final transaction; `undefined` for one the node does not know. */
  transaction(
    signature: string,
    minSlot: number,
  ): Promise<{ readonly bytes: Uint8Array; readonly slot: number; readonly failed: boolean } | undefined>
  /** The newest state of an account; `undefined` when there is none. */
  account(address: string): Promise<{ readonly owner: string; readonly data: Uint8Array } | undefined>
  /** The network's own coin, lamports. */
  lamports(address: string): Promise<bigint>
  /** Ends what is under way; later calls fail. */
  close(): void
}

const whole = z.int().min(0)
const inContext = <T>(value: z.ZodType<T>) => z.object({ context: z.object({ slot: whole }), value })
const base64 = z.tuple([z.base64(), z.literal('base64')]).transform(([text]) => Buffer.from(text, 'base64'))

const BLOCKHASH = inContext(
  z.object({ blockhash: z.string().refine(isSolanaAddress), lastValidBlockHeight: whole }),
)
const EPOCH = z.object({ absoluteSlot: whole, blockHeight: whole })
const LIST = z.array(
  z.object({ signature: z.string(), slot: whole, err: z.unknown(), memo: z.string().nullish() }),
)
const TRANSACTION = z
  .object({ slot: whole, meta: z.object({ err: z.unknown() }), transaction: base64 })
  .nullable()
const ACCOUNT = inContext(z.object({ owner: z.string(), data: base64 }).nullable())

/** How to read a network. */
export interface SolanaReaderOptions extends SolanaNodeOptions {
  /** CAIP-2. */
  readonly network: string
}

/** Opens a reader. Nothing is sent before it is asked something. */
export function openSolanaReader(options: SolanaReaderOptions): SolanaReader {
  const node = openSolanaNode(options)
  const final = { commitment: 'finalized' }
  const newest = { commitment: 'confirmed' }
  return {
    network: options.network,
    genesis: () => node.ask('getGenesisHash', [], z.string().refine(isSolanaAddress)),
    async recentBlockhash() {
      const { context, value } = await node.ask('getLatestBlockhash', [newest], BLOCKHASH)
      return {
        blockhash: value.blockhash,
        lastValidHeight: value.lastValidBlockHeight,
        slot: context.slot,
      }
    },
    async finalBlock() {
      const { absoluteSlot, blockHeight } = await node.ask('getEpochInfo', [final], EPOCH)
      return { slot: absoluteSlot, height: blockHeight }
    },
    blockTime: (slot) => node.ask('getBlockTime', [slot], whole),
    firstSlot: () => node.ask('getFirstAvailableBlock', [], whole),
    async transactions(account, { before, minSlot }) {
      const query = {
        ...final,
        minContextSlot: minSlot,
        limit: LIST_PAGE,
        ...(before === undefined ? {} : { before }),
      }
      const list = await node.ask('getSignaturesForAddress', [account, query], LIST)
      return list.map(({ signature, slot, err, memo }) => ({
        signature,
        slot,
        failed: err !== null && err !== undefined,
        memo: memo ?? undefined,
      }))
    },
    async transaction(signature, minSlot) {
      const query = {
        ...final,
        minContextSlot: minSlot,
        encoding: 'base64',
        maxSupportedTransactionVersion: 0,
      }
      const found = await node.ask('getTransaction', [signature, query], TRANSACTION)
      if (!found) return undefined
      const { slot, meta, transaction } = found
      return { bytes: transaction, slot, failed: meta.err !== null && meta.err !== undefined }
    },
    async account(address) {
      const query = { ...newest, encoding: 'base64' }
      const { value } = await node.ask('getAccountInfo', [address, query], ACCOUNT)
      return value ?? undefined
    },
    async lamports(address) {
      const { value } = await node.ask('getBalance', [address, newest], inContext(whole))
      return BigInt(value)
    },
    close: () => node.close(),
  }
}
