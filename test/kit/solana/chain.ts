/**
 * A Solana chain inside the process: LiteSVM runs the real token, memo and compute-budget programs. What LiteSVM does not have
 * (block heights, many valid block hashes, commitments, a history by address) is added here as a stand-in.
 */
import {
  createHash,
  generateKeyPairSync,
  randomBytes,
  sign as signEd25519,
  type KeyObject,
} from 'node:crypto'
import { FailedTransactionMetadata, LiteSVM } from 'litesvm'
import { address, getTransactionDecoder, lamports } from '@solana/kit'
import { encodeBase58 } from '../../../src/core/solana/base58.ts'
import { addressBytes, addressOf } from '../../../src/core/solana/address.ts'
import { decodeMessage } from '../../../src/core/solana/decode-message.ts'
import { MEMO_PROGRAM, TOKEN_PROGRAM } from '../../../src/core/solana/programs.ts'
import { deriveTokenAccount } from '../../../src/core/solana/token-account.ts'
import { decodeTransaction, type Transaction } from '../../../src/core/solana/transaction.ts'

/** How long a block hash can be used, blocks. */
export const LIFETIME = 150

/** A wallet of the tests. */
export interface TestWallet {
  readonly address: string
  /** 64 bytes: seed and public key, as Solana's tools keep them. */
  readonly secret: Uint8Array
  readonly key: KeyObject
}

/** A transaction that a block holds. */
export interface LandedTransaction {
  /** The first signature, base58: what Solana calls the transaction. */
  readonly signature: string
  readonly bytes: Uint8Array
  readonly slot: number
  /** `null` when it did what it should. */
  readonly err: unknown
  readonly accounts: readonly string[]
  readonly memo: string | null
}

/** What became of a transaction that somebody sent. */
export type SendResult =
  | { readonly ok: true; readonly signature: string }
  | { readonly ok: false; readonly error: string; readonly logs: readonly string[] }

/** A new wallet; the same for the same seed of 32 bytes. */
export function createWallet(): TestWallet {
  const { privateKey } = generateKeyPairSync('ed25519')
  const { d = '', x = '' } = privateKey.export({ format: 'jwk' })
  const [seed, own] = [Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')]
  return { address: addressOf(own), secret: Uint8Array.from([...seed, ...own]), key: privateKey }
}

/** SHA-256 by the platform. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest()
}

/** See the file's head. */
export class SolanaChain {
  readonly genesis: string
  /** The newest block; a height for each slot, and blocks come only when a test says so or a transaction lands. */
  height = 1000
  /** How far finalized blocks are behind the newest one. */
  finalizedLag = 0
  readonly landed: LandedTransaction[] = []
  readonly #svm = new LiteSVM().withBlockhashCheck(false).withTransactionHistory(100_000n)
  readonly #hashes = new Map<string, number>()
  #latest = ''

  constructor(genesis: string) {
    this.genesis = genesis
    this.mine(1)
  }

  get latestBlockhash(): string {
    return this.#latest
  }

  /** The height that finalized answers are read at. */
  get finalizedHeight(): number {
    return this.height - this.finalizedLag
  }

  /** Makes blocks. */
  mine(blocks: number): void {
    this.height += blocks
    this.#latest = encodeBase58(randomBytes(32))
    this.#hashes.set(this.#latest, this.height)
    this.#svm.warpToSlot(BigInt(this.height))
  }

  isValid(blockhash: string): boolean {
    const at = this.#hashes.get(blockhash)
    return at !== undefined && this.height <= at + LIFETIME
  }

  airdrop(owner: string, amount: bigint): void {
    this.#svm.airdrop(address(owner), lamports(amount))
  }

  lamports(owner: string): bigint {
    return this.#svm.getBalance(address(owner)) ?? 0n
  }

  account(
    name: string,
  ): { readonly data: Uint8Array; readonly owner: string; readonly lamports: bigint } | undefined {
    const account = this.#svm.getAccount(address(name))
    return account.exists
      ? { data: Uint8Array.from(account.data), owner: account.programAddress, lamports: account.lamports }
      : undefined
  }

  /** Creates a token (SPL Token's 82 bytes of a mint). */
  putMint(mint: string, { decimals = 6, tokenProgram = TOKEN_PROGRAM } = {}): void {
    const data = Buffer.alloc(82)
    data.writeBigUInt64LE(10n ** 15n, 36)
    data[44] = decimals
    data[45] = 1
    this.#put(mint, tokenProgram, data)
  }

  /** Gives a wallet tokens (the 165 bytes of a token account). @returns its token account */
  putTokens(mint: string, owner: string, amount: bigint, { tokenProgram = TOKEN_PROGRAM } = {}): string {
    const data = Buffer.alloc(165)
    data.set(addressBytes(mint), 0)
    data.set(addressBytes(owner), 32)
    data.writeBigUInt64LE(amount, 64)
    data[108] = 1
    const account = deriveTokenAccount(owner, mint, tokenProgram, sha256)
    this.#put(account, tokenProgram, data)
    return account
  }

  /** What a wallet has of a token; `undefined` when it has no token account. */
  tokens(mint: string, owner: string, tokenProgram: string = TOKEN_PROGRAM): bigint | undefined {
    return this.tokensAt(deriveTokenAccount(owner, mint, tokenProgram, sha256))
  }

  /** What a token account holds. */
  tokensAt(account: string): bigint | undefined {
    const data = this.account(account)?.data
    return data && Buffer.from(data).readBigUInt64LE(64)
  }

  /** Runs a transaction without keeping what it does. Missing signatures are zeros. */
  simulate(bytes: Uint8Array): {
    readonly err: unknown
    readonly logs: readonly string[]
    readonly units: bigint
  } {
    const parts = decodeTransaction(bytes)
    if (!parts || !this.isValid(decodeMessage(parts.message)?.blockhash ?? '')) {
      return { err: 'BlockhashNotFound', logs: [], units: 0n }
    }
    this.#svm.withSigverify(false)
    try {
      const decoded = getTransactionDecoder().decode(bytes)
      const filled = Object.entries(decoded.signatures).map(([who, made]) => [
        who,
        made ?? new Uint8Array(64),
      ])
      const result = this.#svm.simulateTransaction({ ...decoded, signatures: Object.fromEntries(filled) })
      const meta = result.meta()
      const err = result instanceof FailedTransactionMetadata ? String(result.err()) : null
      return { err, logs: meta.logs(), units: meta.computeUnitsConsumed() }
    } finally {
      this.#svm.withSigverify(true)
    }
  }

  /** Puts a signed transaction into a block, if it can be in one. */
  send(bytes: Uint8Array): SendResult {
    const parts = decodeTransaction(bytes)
    const message = parts && decodeMessage(parts.message)
    if (!parts || !message) return { ok: false, error: 'it cannot be decoded', logs: [] }
    if (!this.isValid(message.blockhash)) return { ok: false, error: 'Blockhash not found', logs: [] }
    const result = this.#svm.sendTransaction(getTransactionDecoder().decode(bytes))
    const failed = result instanceof FailedTransactionMetadata
    const signature = encodeBase58(parts.signatures[0] ?? new Uint8Array())
    const text = failed ? String(result.err()) : ''
    // What never reached a program is in no block: a wrong signature, the same transaction again, a fee nobody can pay.
    if (failed && result.meta().logs().length === 0) return { ok: false, error: text, logs: [] }
    this.mine(1)
    const memo = message.instructions.find(({ program }) => program === MEMO_PROGRAM)
    const words = memo && Buffer.from(memo.data).toString('utf8')
    this.landed.push({
      signature,
      bytes,
      slot: this.height,
      err: failed ? { InstructionError: [2, text] } : null,
      accounts: message.accounts,
      memo: memo && words !== undefined ? `[${memo.data.length}] ${words}` : null,
    })
    return failed ? { ok: false, error: text, logs: result.meta().logs() } : { ok: true, signature }
  }

  #put(name: string, owner: string, data: Uint8Array): void {
    this.#svm.setAccount({
      address: address(name),
      executable: false,
      lamports: lamports(2_039_280n),
      programAddress: address(owner),
      space: BigInt(data.length),
      data,
    })
  }
}

/** A transaction with one more signature, in the place of its signer: what a facilitator does before it sends. */
export function signAs(wallet: TestWallet, bytes: Uint8Array): Uint8Array {
  const parts = decodeTransaction(bytes)
  const at = parts && decodeMessage(parts.message)?.accounts.indexOf(wallet.address)
  if (!parts || at === undefined || at < 0 || at >= parts.signatures.length) {
    throw new Error('the wallet is no signer of this transaction')
  }
  const made = signEd25519(undefined, parts.message, wallet.key)
  const signed: Transaction = {
    message: parts.message,
    signatures: parts.signatures.map((old, index) => (index === at ? made : old)),
  }
  return Buffer.concat([Uint8Array.of(signed.signatures.length), ...signed.signatures, signed.message])
}
