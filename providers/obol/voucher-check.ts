/**
 * Looks whether vouchers are signed by whom they name, before they are served: x402-buyer never does, and a seller that is sent
 * such a one has been called for nothing. Off the request path, a slice at a time.
 */
import { setImmediate } from 'node:timers/promises'
import { recoverAddress, type Hex } from 'viem'
import { z } from 'zod'
import { findAsset, findNetwork, type Asset } from '../../src/core/money/assets.ts'
import type { TypedMessage } from '../../src/core/payer/typed-message.ts'
import type { SignedVoucher } from '../../src/core/vouchers/voucher.ts'
import { hashKey } from '../../src/io/callers/hash-key.ts'
import { TypedDigest } from '../../src/io/signer/typed-digest.ts'

/** How long requests may wait for a slice, milliseconds; one signature takes about one. */
const SLICE_MS = 8

/** What pool-vouchers.ts keeps of a payment. */
const SIGNED = z.object({ payload: z.object({ signature: z.templateLiteral(['0x', z.string()]) }) })

/** What a look at an upstream's vouchers found. */
export interface Checked {
  /** Those that are what they say, or of a token whose domain is not known, in the order they came. */
  readonly sound: readonly SignedVoucher[]
  /** How many others were found that were not there at the look before. */
  readonly newlyForged: number
}

/** Options of {@link VoucherCheck}. */
export interface VoucherCheckOptions {
  /** EIP-3009 is signed under the token's own domain: those of tokens that are not here cannot be looked at. */
  readonly assets: readonly Asset[]
  /** Ends a look that is under way. */
  readonly signal?: AbortSignal | undefined
  /** Lets others run between two slices; for tests. */
  readonly pause?: (() => Promise<unknown>) | undefined
  /** Finds whose signature it is; for tests. */
  readonly recover?: ((parts: { readonly hash: Hex; readonly signature: Hex }) => Promise<string>) | undefined
}

/** Remembers its results by consume key while a voucher stays in its file. */
export class VoucherCheck {
  readonly #digest = new TypedDigest()
  readonly #options: VoucherCheckOptions
  /** By upstream and consume key: the content that was looked at, and whether it was sound. */
  readonly #known = new Map<
    string,
    ReadonlyMap<string, { readonly content: string; readonly sound: boolean }>
  >()

  constructor(options: VoucherCheckOptions) {
    this.#options = options
  }

  /**
   * @param upstream its name: what was found there before and is not among these is forgotten
   * @throws the signal's reason
   */
  async look(upstream: string, vouchers: readonly SignedVoucher[]): Promise<Checked> {
    const { pause = setImmediate, signal } = this.#options
    const before = this.#known.get(upstream)
    const now = new Map<string, { readonly content: string; readonly sound: boolean }>()
    const sound: SignedVoucher[] = []
    let newlyForged = 0
    let since = performance.now()
    for (const voucher of vouchers) {
      const content = hashKey(`${voucher.id}\n${voucher.payment}`)
      const known = before?.get(voucher.key)
      const isKnown = known?.content === content
      const isSound = isKnown ? known.sound : await this.#isSound(voucher)
      now.set(voucher.key, { content, sound: isSound })
      if (isSound) sound.push(voucher)
      else if (!isKnown) newlyForged += 1
      if (performance.now() - since < SLICE_MS) continue
      await pause()
      signal?.throwIfAborted()
      since = performance.now()
    }
    this.#known.set(upstream, now)
    return { sound, newlyForged }
  }

  /** Forgets the upstreams that are not served any more. */
  keep(upstreams: ReadonlySet<string>): void {
    for (const name of this.#known.keys()) if (!upstreams.has(name)) this.#known.delete(name)
  }

  async #isSound(voucher: SignedVoucher): Promise<boolean> {
    const typed = typedOf(voucher, this.#options.assets)
    if (!typed) return true
    try {
      const { signature } = SIGNED.parse(JSON.parse(voucher.payment)).payload
      const { recover = recoverAddress } = this.#options
      const signer = await recover({ hash: this.#digest.of(typed), signature })
      return signer.toLowerCase() === voucher.from
    } catch {
      // No point of the curve, or a number that fits in no word.
      return false
    }
  }
}

/** What its payer signed; `undefined` when the token's domain is unknown. */
function typedOf(voucher: SignedVoucher, assets: readonly Asset[]): TypedMessage | undefined {
  const { network, asset, from, payTo, amount, nonce, validAfter, validBefore, method } = voucher
  const chainId = findNetwork(network)?.chainId
  if (chainId === undefined) return undefined
  const common = { from, to: payTo, validAfter: validAfter.toString() }
  if (method === 'permit2') {
    const deadline = validBefore.toString()
    const message = {
      ...common,
      token: asset,
      amount: amount.toString(),
      nonce: BigInt(nonce).toString(),
      deadline,
    }
    return { kind: 'permit2_exact', domain: { chainId }, message }
  }
  const domain = findAsset(assets, network, asset)?.domain
  return (
    domain && {
      kind: 'eip3009',
      domain: { ...domain, chainId, verifyingContract: asset },
      message: { ...common, value: amount.toString(), validBefore: validBefore.toString(), nonce },
    }
  )
}
