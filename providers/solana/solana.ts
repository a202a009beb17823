/** Pays by itself on Solana: x402's `exact`, versions 1 and 2, built here and signed by a worker that alone holds the key. */
import { paymentExtensions } from '../../src/core/x402/extensions.ts'
import { createHash } from 'node:crypto'
import type { AuthorizationRecord } from '../../src/core/charge/charge.ts'
import type { Clock } from '../../src/core/clock.ts'
import { TollwayError } from '../../src/core/errors.ts'
import type { RandomBytes } from '../../src/core/ids.ts'
import { isSolanaNetwork } from '../../src/core/money/address.ts'
import type { KeyReference } from '../../src/core/payer/key-reference.ts'
import type { Authorization, Provider, SignInSigner } from '../../src/core/payer/provider.ts'
import { Quote } from '../../src/core/policy/gate.ts'
import { tokenProgramOf } from '../../src/core/policy/solana-offer.ts'
import { encodeBase58 } from '../../src/core/solana/base58.ts'
import { paymentMessage, type PaymentAccounts, type SolanaPayment } from '../../src/core/solana/payment.ts'
import { encodeTransaction, SIGNATURE_BYTES } from '../../src/core/solana/transaction.ts'
import type { Timers } from '../../src/core/timers.ts'
import { furtherNames } from '../../src/core/x402/payment-headers.ts'
import { encodePayment, type Offer } from '../../src/core/x402/x402.ts'
import { startSolanaSigner, type SolanaSigner } from '../../src/io/signer/solana/solana-signer.ts'
import { TokenAccounts } from '../../src/io/signer/solana/token-accounts.ts'
import { signInAs } from '../shared/sign-in.ts'
import { checkWallet } from '../shared/wallet-check.ts'
import { parseOptions } from '../../src/io/names/parse-options.ts'
import { SOLANA_OPTIONS } from './solana-options.ts'
import { SolanaNetwork } from './solana-network.ts'
import { UniquePayments } from './unique-payment.ts'

/**
 * No release before this by our own clock, seconds from the signature, whatever heights a node reports. A block hash is valid for
 * 150 blocks, which took 60 to 90 seconds when this was written.
 */
const LEAST_SECONDS = 180

/** Options of {@link solana}. */
export interface SolanaOptions {
  /**
   * Where the key is: the JSON file of solana-keygen, base58 of 64 or 32 bytes (file or variable), a keystore of the 32 bytes of
   * a seed, or AgentCash's Solana wallet. One environment variable serves one payer: it is removed when the payer starts.
   */
  readonly key: KeyReference
  /** Networks it may pay on: `solana`, `solana-devnet`, or CAIP-2 ids. */
  readonly networks: readonly string[]
  /**
   * JSON-RPC addresses by network, one for each. From there come the block hash that a payment is signed with, how long it is
   * valid, and what the wallet has.
   */
  readonly nodes: Readonly<Record<string, string>>
  /** Longest wait for a signature, milliseconds; default 10,000. */
  readonly timeoutMs?: number | undefined
  /** Where memos come from; default the system's cryptographic source. */
  readonly random?: RandomBytes | undefined
  readonly clock?: Clock | undefined
  readonly timers?: Timers | undefined
}

/**
 * Starts a payer with its own signer.
 * @throws ConfigError for a mistake in the options, or a key that is missing, badly kept or malformed
 * @throws TollwayError `signer_unavailable` when the signer does not start
 */
export async function solana(options: SolanaOptions): Promise<Provider> {
  const { key, networks, nodes, timeoutMs, random, clock, timers } = parseOptions(
    'solana',
    SOLANA_OPTIONS,
    options,
  )
  const signer = await startSolanaSigner({ key, timeoutMs })
  const open = new Map(
    networks.map((network) => {
      const rpc = nodes[network] ?? ''
      return [network, new SolanaNetwork({ network, rpc, owner: signer.address, clock, timers })]
    }),
  )
  return new Solana({ signer, networks: open, unique: new UniquePayments(random), clock })
}

interface SolanaContext {
  readonly signer: SolanaSigner
  /** By CAIP-2 id. */
  readonly networks: ReadonlyMap<string, SolanaNetwork>
  readonly unique: UniquePayments
  readonly clock: Clock
}

class Solana implements Provider {
  readonly name = 'solana'
  readonly address: string
  readonly networks: readonly string[]
  readonly signIn: SignInSigner
  readonly #context: SolanaContext
  readonly #accounts = new TokenAccounts()

  constructor(context: SolanaContext) {
    this.#context = context
    this.address = context.signer.address
    this.networks = [...context.networks.keys()]
    this.signIn = signInAs(this.name, this.address, async (message, signal) =>
      encodeBase58(await context.signer.signIn(message, signal)),
    )
  }

  supports(offer: Offer): boolean {
    return isPayable(offer)
  }

  async ready(quote: Quote, _signal: AbortSignal, times?: bigint): Promise<void> {
    const { network, accounts } = this.#vetted(quote)
    await checkWallet(quote, network.funds, times)
    if ((await network.exists(accounts.destination)) === false) throw noAccount(quote)
  }

  async balance(quote: Quote): Promise<bigint | undefined> {
    return await this.#vetted(quote).network.funds.balance(quote.asset.address)
  }

  async authorize(quote: Quote, charge: string, signal: AbortSignal): Promise<Authorization> {
    const { network, terms, accounts } = this.#vetted(quote)
    signal.throwIfAborted()
    const { signer, unique, clock } = this.#context
    const { blockhash, lastValidHeight, slot } = await network.recentBlockhash()
    const signedAt = Math.floor(clock.now() / 1000)
    const payment = { ...terms, ...unique.next(quote.solana?.memo), blockhash }
    const message = paymentMessage(payment, accounts)
    const signature = await signer.sign(payment, signal)
    // The fee payer signs first, and last in time.
    const signatures = [new Uint8Array(SIGNATURE_BYTES), signature]
    const transaction = Buffer.from(encodeTransaction({ signatures, message })).toString('base64')
    const header = encodePayment(
      quote.offer,
      quote.resource,
      { transaction },
      paymentExtensions(quote.extensions, charge, undefined),
    )
    const record: AuthorizationRecord = {
      from: signer.address,
      nonce: `0x${createHash('sha256').update(message).digest('hex')}`,
      validAfter: signedAt,
      validBefore: signedAt + LEAST_SECONDS,
      method: 'solana',
      solana: {
        signature: encodeBase58(signature),
        memo: payment.memo,
        blockhash,
        lastValidHeight,
        slot,
        account: accounts.source,
      },
    }
    network.funds.sign(charge, quote.asset.address, quote.amount)
    return { kind: 'authorization', header, ...furtherNames(quote, header), record }
  }

  async check(): Promise<void> {
    const { signer, networks } = this.#context
    await signer.check()
    // One network that can be paid on is enough.
    await Promise.any([...networks.values()].map((network) => network.recentBlockhash())).catch(
      (error: unknown) => {
        throw error instanceof AggregateError ? error.errors[0] : error
      },
    )
  }

  closed(charge: string): Promise<void> {
    for (const network of this.#context.networks.values()) network.funds.closed(charge)
    return Promise.resolve()
  }

  async close(): Promise<void> {
    for (const network of this.#context.networks.values()) network.close()
    await this.#context.signer.close()
  }

  /** What is paid, of a quote that passed the gate. @throws TollwayError for one of another payer */
  #vetted(quote: Quote): {
    readonly network: SolanaNetwork
    readonly terms: Omit<SolanaPayment, 'memo' | 'unitLimit' | 'unitPrice' | 'blockhash'>
    readonly accounts: PaymentAccounts
  } {
    if (!Quote.isVetted(quote)) {
      throw new TypeError(
        'solana was given a quote that did not pass the gate, so nothing was signed. Pass on the quote that paymentInterceptor() hands to authorize().',
      )
    }
    const { asset, payTo, solana: offered } = quote
    const network = this.#context.networks.get(asset.network)
    if (!network || !offered || !isPayable(quote.offer)) throw unpayable(quote)
    const terms = {
      kind: 'solana_exact' as const,
      owner: this.address,
      feePayer: offered.feePayer,
      payTo,
      mint: asset.address,
      tokenProgram: tokenProgramOf(asset),
      amount: quote.amount.toString(),
      decimals: asset.decimals,
    }
    const accounts = this.#accounts.of(terms)
    if (offered.feePayer === accounts.source || offered.feePayer === accounts.destination) {
      throw new TollwayError({
        code: 'fee_payer_not_allowed',
        message: `The offer names ${offered.feePayer} as fee payer, which is a token account of the payment itself.`,
      })
    }
    return { network, terms, accounts }
  }
}

/** What can be signed: unknown methods and flows are not guessed at. */
function isPayable({ scheme, network, extra }: Offer): boolean {
  const { assetTransferMethod: method, paymentFlow: flow } = extra as {
    readonly assetTransferMethod?: unknown
    readonly paymentFlow?: unknown
  }
  if (!isSolanaNetwork(network) || scheme !== 'exact' || method !== undefined) return false
  return flow === undefined || flow === 'authorization' || flow === 'upfront'
}

function unpayable(quote: Quote): TollwayError {
  return new TollwayError({
    code: 'no_supported_offer',
    message: `This payer cannot pay ${quote.asset.symbol} on ${quote.asset.network}: it pays on its own Solana networks.`,
    advice: ["Add the network to the payer's networks."],
  })
}

function noAccount({ payTo, asset }: Quote): TollwayError {
  return new TollwayError({
    code: 'no_supported_offer',
    message: `The payee ${payTo} has no account for ${asset.symbol} on ${asset.network}, so the payment could not be taken; nothing was signed.`,
    advice: [
      'Tell the seller: payTo must be a wallet that has an account for the token, not the account itself.',
    ],
  })
}
