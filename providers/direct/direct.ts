/**
 * Pays with a key of ours or a remote signer: `exact` by EIP-3009 (x402 v1 and v2) or Permit2, `upto` by Permit2, and MPP's
 * `evm`/`charge` by EIP-3009.
 */
import { paymentExtensions } from '../../src/core/x402/extensions.ts'
import { findEvmNetwork } from '../../src/core/money/assets.ts'
import { composeAuthorization, toTyped, toWire } from '../../src/core/payer/eip3009.ts'
import type { Clock } from '../../src/core/clock.ts'
import { ConfigError, TollwayError } from '../../src/core/errors.ts'
import type { RandomBytes } from '../../src/core/ids.ts'
import type { SignerReference } from '../../src/core/payer/key-reference.ts'
import {
  composePermit2,
  permit2Payload,
  sponsoringExtension,
  typedPermit,
  typedPermit2,
} from '../../src/core/payer/permit2.ts'
import type { Authorization, Presigned, Provider, SignInSigner } from '../../src/core/payer/provider.ts'
import { Quote } from '../../src/core/policy/gate.ts'
import { getAddress, keccak256, stringToBytes } from 'viem/utils'
import { encodeMppCredential, type MppCharge } from '../../src/core/x402/mpp-charge.ts'
import { furtherNames } from '../../src/core/x402/payment-headers.ts'
import { encodePayment, type Offer } from '../../src/core/x402/x402.ts'
import { accountSigner, type SigningAccount } from '../../src/io/signer/signer-account.ts'
import { openSigner } from '../../src/io/signer/open-signer.ts'
import type { Signer } from '../../src/io/signer/signer.ts'
import { openWalletReader } from '../../src/io/chain/wallet-reader.ts'
import { WalletWatch } from '../../src/io/chain/wallet-watch.ts'
import { DIRECT_OPTIONS } from './direct-options.ts'
import { parseOptions } from '../../src/io/names/parse-options.ts'
import { PermitQueue } from '../shared/permit-queue.ts'
import { provenDomain } from './token-domain.ts'
import { signInAs } from '../shared/sign-in.ts'
import { checkWallet } from '../shared/wallet-check.ts'

/** Options of {@link direct}: where the key is, or who signs instead. */
export type DirectOptions = DirectSettings & (DirectKey | DirectAccount)

interface DirectKey {
  /** Where the private key is kept. An environment variable serves only one payer: it is removed when the payer starts. */
  readonly key: SignerReference
  readonly account?: undefined
}

interface DirectAccount {
  /**
   * Who signs, instead of a key: a viem account, or `{ address, signTypedData }` that asks a KMS, a hardware wallet or a
   * custody service. Every signature is verified before it is used. A key in this process is less safe than
   * {@link DirectKey.key}, which only a thread of its own reads.
   */
  readonly account: SigningAccount
  readonly key?: undefined
}

interface DirectSettings {
  /** Networks it may pay on: aliases such as `base-sepolia`, or CAIP-2 ids. */
  readonly networks: readonly string[]
  /**
   * JSON-RPC addresses by network. With a node, contract, balance and Permit2's allowance are checked before anything is signed;
   * a node that does not answer blocks nothing. Payments can carry their own allowance (EIP-2612) only with a node.
   */
  readonly nodes?: Readonly<Record<string, string>> | undefined
  /** Longest wait for a signature, milliseconds; default 10,000. */
  readonly timeoutMs?: number | undefined
  /** Where nonces come from; default the system's cryptographic source. */
  readonly random?: RandomBytes | undefined
  readonly clock?: Clock | undefined
}

const NONCE_BYTES = 32
/** The longest wait for a node; after that the payment continues without its answer. */
const NODE_TIMEOUT_MS = 5_000

/**
 * Starts a payer with its own signer.
 * @throws ConfigError for a mistake in the options, or a key that is missing, malformed or readable by others
 * @throws TollwayError `signer_unavailable` when the signer does not start or respond
 */
export async function direct(options: DirectOptions): Promise<Provider> {
  const parsed = parseOptions('direct', DIRECT_OPTIONS, options)
  const { key, account, networks, nodes, timeoutMs, random, clock } = parsed
  const signer = account ? accountSigner(account, timeoutMs) : await openSigner(keyOf(key), timeoutMs)
  const watches = new Map(
    Object.entries(nodes).flatMap(([id, rpc]): [string, WalletWatch][] => {
      const network = findEvmNetwork(id)
      if (!network || !networks.includes(id)) return []
      const reader = openWalletReader({ rpc, chainId: network.chainId, timeoutMs: NODE_TIMEOUT_MS })
      return [[id, new WalletWatch({ reader, owner: signer.address, clock })]]
    }),
  )
  return new Direct({ signer, networks, watches, random, clock })
}

/** The options were checked: without an account there is a key. */
function keyOf(key: SignerReference | undefined): SignerReference {
  if (!key) throw new ConfigError('direct(): give key or account.')
  return key
}

interface DirectContext {
  readonly signer: Signer
  readonly networks: readonly string[]
  /** By CAIP-2 id. */
  readonly watches: ReadonlyMap<string, WalletWatch>
  readonly random: RandomBytes
  readonly clock: Clock
}

class Direct implements Provider {
  readonly name = 'direct'
  readonly address: string
  readonly networks: readonly string[]
  readonly #context: DirectContext
  readonly #permitQueue = new PermitQueue()

  constructor(context: DirectContext) {
    this.#context = context
    this.address = context.signer.address
    this.networks = context.networks
  }

  supports(offer: Offer): boolean {
    return isPayable(offer)
  }

  async ready(quote: Quote, _signal: AbortSignal, times?: bigint): Promise<void> {
    const watch = this.#vetted(quote)
    if (quote.method === 'eip3009' && (await provenDomain(quote, watch)) === undefined) throw unpayable(quote)
    await checkWallet(quote, watch, times)
  }

  async balance(quote: Quote): Promise<bigint | undefined> {
    return await this.#vetted(quote)?.balance(quote.asset.address)
  }

  async presign(quote: Quote, count: number, signal: AbortSignal): Promise<readonly Presigned[]> {
    const watch = this.#vetted(quote)
    if (!this.networks.includes(quote.asset.network) || !isPayable(quote.offer)) throw unpayable(quote)
    // The maximum of `upto` is not its price, so nothing is signed in advance for it.
    if (quote.scheme !== 'exact' || quote.offer.mpp) throw unpayable(quote)
    const { signer, clock } = this.#context
    const now = clock.now()
    const domain = quote.method === 'eip3009' ? await provenDomain(quote, watch) : undefined
    const prepared = Array.from({ length: count }, () => {
      if (quote.method === 'permit2') {
        const record = composePermit2(quote, signer.address, this.#nonce(), now)
        const typed = typedPermit2(quote, record)
        if (!typed) throw unpayable(quote)
        return { record, typed, payload: (signature: string) => permit2Payload(typed, signature) }
      }
      const record = composeAuthorization(quote, signer.address, this.#nonce(), now)
      const typed = toTyped(quote, record, domain)
      if (!typed) throw unpayable(quote)
      const authorization = toWire(quote, record)
      return { record, typed, payload: (signature: string) => ({ signature, authorization }) }
    })
    const signatures = await signer.signMany(
      prepared.map(({ typed }) => typed),
      signal,
    )
    return prepared.map(({ record, payload }, index) => ({
      record,
      payload: payload(signatures[index] ?? ''),
    }))
  }

  async authorize(quote: Quote, charge: string, signal: AbortSignal): Promise<Authorization> {
    const watch = this.#vetted(quote)
    signal.throwIfAborted()
    if (!this.networks.includes(quote.asset.network) || !isPayable(quote.offer)) throw unpayable(quote)
    const authorization =
      quote.method === 'permit2'
        ? await this.#permit2(quote, charge, signal, watch)
        : await this.#eip3009(quote, charge, signal, watch)
    watch?.sign(charge, quote.asset.address, quote.amount)
    return authorization
  }

  async check(): Promise<void> {
    await this.#context.signer.check()
  }

  closed(charge: string): Promise<void> {
    this.#permitQueue.leave(charge)
    for (const watch of this.#context.watches.values()) watch.closed(charge)
    return Promise.resolve()
  }

  get signIn(): SignInSigner | undefined {
    const { signer } = this.#context
    if (!signer.signIn) return undefined
    return signInAs(this.name, getAddress(signer.address), signer.signIn.bind(signer))
  }

  async close(): Promise<void> {
    for (const watch of this.#context.watches.values()) watch.close()
    await this.#context.signer.close()
  }

  #vetted(quote: Quote): WalletWatch | undefined {
    if (!Quote.isVetted(quote)) {
      throw new TypeError(
        'direct was given a quote that did not pass the gate, so nothing was signed. Pass on the quote that paymentInterceptor() hands to authorize().',
      )
    }
    return this.#context.watches.get(quote.asset.network)
  }

  async #eip3009(
    quote: Quote,
    charge: string,
    signal: AbortSignal,
    watch: WalletWatch | undefined,
  ): Promise<Authorization> {
    const { signer, clock } = this.#context
    const { mpp } = quote.offer
    const nonce = mpp ? challengeNonce(mpp) : this.#nonce()
    const record = composeAuthorization(quote, signer.address, nonce, clock.now())
    const typed = toTyped(quote, record, await provenDomain(quote, watch))
    if (!typed) throw unpayable(quote)
    const signature = await signer.sign(typed, signal)
    if (mpp) {
      const paid = { type: 'authorization', ...toWire(quote, record), signature }
      const source = `did:pkh:${quote.asset.network}:${getAddress(record.from)}`
      return { kind: 'authorization', header: encodeMppCredential(mpp, paid, source), record }
    }
    const payload = { signature, authorization: toWire(quote, record) }
    const header = encodePayment(
      quote.offer,
      quote.resource,
      payload,
      paymentExtensions(quote.extensions, charge, undefined),
    )
    return { kind: 'authorization', header, ...furtherNames(quote, header), record }
  }

  async #permit2(
    quote: Quote,
    charge: string,
    signal: AbortSignal,
    watch: WalletWatch | undefined,
  ): Promise<Authorization> {
    const { sponsor } = await checkWallet(quote, watch)
    if (!sponsor || !watch) return await this.#transfer(quote, charge, signal, undefined)
    await this.#permitQueue.enter(quote.asset.address, charge, signal)
    try {
      // The previous payment may have left a sufficient allowance.
      const again = await checkWallet(quote, watch)
      if (!again.sponsor) {
        this.#permitQueue.leave(charge)
        return await this.#transfer(quote, charge, signal, undefined)
      }
      const nonce = await watch.permitNonce(quote.asset.address)
      return await this.#transfer(quote, charge, signal, nonce)
    } catch (error) {
      this.#permitQueue.leave(charge)
      throw error
    }
  }

  /** @param permitNonce if given, also signs an allowance with this EIP-2612 nonce */
  async #transfer(
    quote: Quote,
    charge: string,
    signal: AbortSignal,
    permitNonce: bigint | undefined,
  ): Promise<Authorization> {
    const { signer, clock } = this.#context
    const record = composePermit2(quote, signer.address, this.#nonce(), clock.now())
    const typed = typedPermit2(quote, record)
    if (!typed) throw unpayable(quote)
    const permit = permitNonce === undefined ? undefined : typedPermit(quote, record, permitNonce)
    const [signature = '', permitSignature] = permit
      ? await signer.signMany([typed, permit], signal)
      : [await signer.sign(typed, signal)]
    const extensions =
      permit && permitSignature !== undefined
        ? sponsoringExtension(quote, permit, permitSignature)
        : undefined
    const payload = permit2Payload(typed, signature)
    const header = encodePayment(
      quote.offer,
      quote.resource,
      payload,
      paymentExtensions(quote.extensions, charge, extensions),
    )
    return { kind: 'authorization', header, ...furtherNames(quote, header), record }
  }

  #nonce(): string {
    const bytes = this.#context.random(NONCE_BYTES)
    if (bytes.length !== NONCE_BYTES) {
      throw new TypeError(
        `random(${NONCE_BYTES}) returned ${bytes.length} bytes, so nothing was signed. Return the requested number of bytes.`,
      )
    }
    return `0x${Buffer.from(bytes).toString('hex')}`
  }
}

/** The nonce that a charge of MPP prescribes: one challenge can be taken once, whoever sends it how often. */
function challengeNonce({ id, realm }: MppCharge): string {
  return keccak256(stringToBytes(`${id}${realm}`))
}

/** Whether an offer can be signed. Escrow needs another message, and unknown methods and flows are never guessed. */
function isPayable({ scheme, network, extra, x402Version, mpp }: Offer): boolean {
  const { assetTransferMethod: method, paymentFlow: flow } = extra as {
    readonly assetTransferMethod?: unknown
    readonly paymentFlow?: unknown
  }
  if (!network.startsWith('eip155:')) return false
  if (mpp) return true
  if (flow !== undefined && flow !== 'authorization' && flow !== 'upfront') return false
  // x402 v1 has no upto.
  if (scheme === 'upto') return x402Version === 2 && (method === undefined || method === 'permit2')
  return scheme === 'exact' && (method === undefined || method === 'eip3009' || method === 'permit2')
}

function unpayable(quote: Quote): TollwayError {
  return new TollwayError({
    code: 'no_supported_offer',
    message: `This payer cannot pay ${quote.asset.symbol} on ${quote.asset.network}; nothing was signed. It pays on its own networks, by Permit2 or, for tokens whose EIP-712 domain is in the asset table, by EIP-3009.`,
    advice: ["Add the network to the payer's networks, or the token's domain to the asset table."],
  })
}
