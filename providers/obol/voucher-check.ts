/**
 * Verifies, before vouchers are served, that each was signed by the payer it names. x402-buyer never checks this, and a seller
 * would refuse a forged voucher. Runs off the request path, one time slice after another.
 */
import { setImmediate } from 'node:timers/promises'
import { recoverAddress, type Hex } from 'viem'
import { z } from 'zod'
import { findAsset, findEvmNetwork, type Asset } from '../../src/core/money/assets.ts'
import type { TypedMessage } from '../../src/core/payer/typed-message.ts'
import type { SignedVoucher } from '../../src/core/vouchers/voucher.ts'
import { hashKey } from '../../src/io/callers/hash-key.ts'
import { TypedDigest } from '../../src/io/signer/typed-digest.ts'

/** The length of a slice, milliseconds: how long requests may have to wait. One signature takes about 1 ms. */
const SLICE_MS = 8

/** The part of a payment that is read here. */
const SIGNED = z.object({ payload: z.object({ signature: z.templateLiteral(['0x', z.string()]) }) })

/** The result of checking an upstream's vouchers. */
export interface Checked {
  /** Vouchers with a valid signature, or of a token whose domain is unknown, in their original order. */
  readonly sound: readonly SignedVoucher[]
  /** The number of forged vouchers that the previous check did not see. */
  readonly newlyForged: number
}

/** Options of {@link VoucherCheck}. */
export interface VoucherCheckOptions {
  /** Supplies the token domains for EIP-3009: vouchers of other tokens cannot be checked. */
  readonly assets: readonly Asset[]
  /** Aborts a check in progress. */
  readonly signal?: AbortSignal | undefined
  /** Yields to other work between two slices; replaced in tests. */
  readonly pause?: (() => Promise<unknown>) | undefined
  /** Milliseconds since any fixed instant, by which slices are measured; replaced in tests. */
  readonly now?: (() => number) | undefined
  /** Recovers the signer's address; replaced in tests. */
  readonly recover?:
    | ((signed: { readonly hash: Hex; readonly signature: Hex }) => Promise<string>)
    | undefined
}

/** Checks signatures. Results are cached by consume key while a voucher stays in its file. */
export class VoucherCheck {
  readonly #digest = new TypedDigest()
  readonly #options: VoucherCheckOptions
  /** By upstream and consume key: the content that was checked, and the result. */
  readonly #known = new Map<
    string,
    ReadonlyMap<string, { readonly content: string; readonly sound: boolean }>
  >()

  constructor(options: VoucherCheckOptions) {
    this.#options = options
  }

  /**
   * Checks the vouchers of an upstream.
   * @param upstream its name: cached results of vouchers that are no longer listed are dropped
   * @throws the signal's reason
   */
  async look(upstream: string, vouchers: readonly SignedVoucher[]): Promise<Checked> {
    const { pause = setImmediate, now = () => performance.now(), signal } = this.#options
    const before = this.#known.get(upstream)
    const checked = new Map<string, { readonly content: string; readonly sound: boolean }>()
    const sound: SignedVoucher[] = []
    let newlyForged = 0
    let since = now()
    for (const voucher of vouchers) {
      const content = hashKey(`${voucher.id}\n${voucher.payment}`)
      const known = before?.get(voucher.key)
      const isKnown = known?.content === content
      const isSound = isKnown ? known.sound : await this.#isSound(voucher)
      checked.set(voucher.key, { content, sound: isSound })
      if (isSound) sound.push(voucher)
      else if (!isKnown) newlyForged += 1
      if (now() - since < SLICE_MS) continue
      await pause()
      signal?.throwIfAborted()
      since = now()
    }
    this.#known.set(upstream, checked)
    return { sound, newlyForged }
  }

  /** Drops the cached results of all other upstreams. */
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
      // Not a point of the curve, or a number that does not fit its word.
      return false
    }
  }
}

/** The message that the payer must have signed; `undefined` when the token's domain is unknown. */
function typedOf(voucher: SignedVoucher, assets: readonly Asset[]): TypedMessage | undefined {
  const { network, asset, from, payTo, amount, nonce, validAfter, validBefore, method } = voucher
  const chainId = findEvmNetwork(network)?.chainId
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
