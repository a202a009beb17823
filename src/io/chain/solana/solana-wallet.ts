/** Reads what a wallet can pay on a Solana network, in the shape in which EVM wallets are read. */
import { createHash } from 'node:crypto'
import { TOKEN_2022_PROGRAM, TOKEN_PROGRAM } from '../../../core/solana/programs.ts'
import { deriveTokenAccount } from '../../../core/solana/token-account.ts'
import { ChainError } from '../chain.ts'
import type { WalletReader } from '../wallet-reader.ts'
import { openSolanaReader, type SolanaReader } from './solana-reader.ts'
import { checkGenesis } from './solana-trust.ts'

/** Where the amount is in the data of a token account, both token programs. */
const AMOUNT_OFFSET = 64
const AMOUNT_END = 72

/** How to read a wallet. */
export interface SolanaWalletOptions {
  /** JSON-RPC over HTTP(S). It may contain a key and is never shown. */
  readonly rpc: string
  /** CAIP-2. */
  readonly network: string
  /** Milliseconds. */
  readonly timeoutMs: number
}

/** Opens a reader. Nothing is sent before it is asked something. */
export function openSolanaWallet(options: SolanaWalletOptions): WalletReader {
  return solanaWallet(openSolanaReader(options))
}

/** A wallet reader on a network that is read already; closing it closes that. */
export function solanaWallet(reader: SolanaReader): WalletReader {
  let verified = false
  const onChain = async <T>(work: () => Promise<T>): Promise<T> => {
    if (!verified) {
      await checkGenesis(reader)
      verified = true
    }
    return await work()
  }
  const never = (): Promise<never> => Promise.reject(new ChainError('not_on_solana'))
  return {
    funds: (mint, owner) =>
      onChain(async () => {
        const found = await reader.account(mint)
        const deployed = found?.owner === TOKEN_PROGRAM || found?.owner === TOKEN_2022_PROGRAM
        if (!deployed) return { deployed: false, balance: 0n, allowance: 0n }
        return { deployed, balance: (await tokensOf(reader, owner, mint, found.owner)) ?? 0n, allowance: 0n }
      }),
    // Accounts of programs have no key that could sign.
    code: () => Promise.resolve('0x'),
    coin: (owner) => onChain(() => reader.lamports(owner)),
    permitNonce: never,
    separator: never,
    close: () => reader.close(),
  }
}

/**
 * What a wallet has of a token, smallest units; `undefined` when it has no account for it.
 * @throws ChainError
 */
export async function tokensOf(
  reader: SolanaReader,
  owner: string,
  mint: string,
  tokenProgram: string,
): Promise<bigint | undefined> {
  const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()
  const account = await reader.account(deriveTokenAccount(owner, mint, tokenProgram, sha256))
  if (account?.owner !== tokenProgram) return undefined
  if (account.data.length < AMOUNT_END) throw new ChainError('bad_answer')
  return Buffer.from(account.data).readBigUInt64LE(AMOUNT_OFFSET)
}
