import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AuthorizationRecord } from '../core/charge/charge.ts'
import type { ChargeOutcome, Provider } from '../core/payer/provider.ts'
import { Quote } from '../core/policy/gate.ts'
import { quoteOf } from './quotes.ts'

const never = new AbortController().signal
const settled: ChargeOutcome = { state: 'settled', transaction: undefined }

/** How a payer differs from one that signs here and now. */
export interface ProviderTraits {
  /** Its payments were signed before: how long they are valid is theirs, and ours is whether to use them. */
  readonly presigned?: boolean | undefined
  /** How many payments are asked for at once; default 40. Fewer where each is a process of its own. */
  readonly burst?: number | undefined
  /** One for all tests, where a start costs much. */
  readonly shared?: boolean | undefined
  /** Where it pays, when not on Base Sepolia by EIP-3009. */
  readonly chain?: ProviderChain | undefined
}

/** What differs from chain to chain. */
export interface ProviderChain {
  /** CAIP-2. */
  readonly network: string
  /** A quote there, as {@link quoteOf}. */
  readonly quote: typeof quoteOf
  /** What its addresses look like. */
  readonly address: RegExp
  /** Whether a header, decoded, carries what the record says was signed. */
  readonly carries: (header: string, record: AuthorizationRecord) => boolean
  /** How long what was signed stays open at most, seconds, whatever the offer and the policy say. */
  readonly longest: number
}

const BASE_SEPOLIA: ProviderChain = {
  network: 'eip155:84532',
  quote: quoteOf,
  address: /^0x[0-9a-f]{40}$/,
  carries: (header, { nonce }) => header.includes(nonce),
  longest: 90,
}

/**
 * What every payer keeps, whatever it pays with.
 *
 * @param make - Starts a payer that may pay on Base Sepolia.
 */
export function describeProvider(
  name: string,
  make: () => Promise<Provider>,
  { presigned = false, burst = 40, shared = false, chain = BASE_SEPOLIA }: ProviderTraits = {},
): void {
  describe(`${name} as a payer`, () => {
    let provider: Provider

    let kept: Provider | undefined

    beforeEach(async () => {
      provider = kept ?? (await make())
      if (shared) kept = provider
    })
    afterEach(async () => {
      if (!shared) await provider.close()
    })
    afterAll(() => kept?.close())

    test('names itself and its networks by CAIP-2 id', () => {
      expect(provider.name).toMatch(/^[a-z]+$/)
      expect(provider.networks).toContain(chain.network)
    })

    test('pays every offer that it supports, and asking whether it does changes nothing', async () => {
      const quote = chain.quote()
      expect([provider.supports(quote.offer), provider.supports(quote.offer)]).toEqual([true, true])
      expect(provider.supports({ ...quote.offer, scheme: 'unheard-of' })).toBe(false)
      await expect(provider.authorize(quote, 'chg_1', never)).resolves.toHaveProperty('kind', 'authorization')
    })

    test('gives a header and the record of what was signed, and both say the same', async () => {
      const { header, record } = await provider.authorize(chain.quote(), 'chg_1', never)
      expect(header.name).toBe(header.name.toLowerCase())
      expect(record.from).toMatch(chain.address)
      expect(record.nonce).toMatch(/^0x[0-9a-f]{64}$/)
      expect(record.validBefore).toBeGreaterThan(record.validAfter)
      expect(chain.carries(Buffer.from(header.value, 'base64').toString(), record)).toBe(true)
    })

    const longest = presigned ? 31 * 86_400 : chain.longest
    test(`never signs anything that is valid for more than ${longest} seconds`, async () => {
      const quote = chain.quote(2, { maxTimeoutSeconds: 86_400 }, { maxValiditySeconds: 90 })
      const before = Math.floor(Date.now() / 1000)
      const { record } = await provider.authorize(quote, 'chg_1', never)
      expect(record.validBefore).toBeGreaterThanOrEqual(before + 90)
      expect(record.validBefore).toBeLessThanOrEqual(Math.floor(Date.now() / 1000) + longest)
    })

    test('pays only quotes made by the gate, and no copy of one', async () => {
      const quote = chain.quote()
      const forgeries: Quote[] = [
        Object.assign(JSON.parse('{}'), quote),
        Object.assign(Object.create(Quote.prototype), quote),
        new Proxy(quote, {}),
      ]
      for (const forgery of forgeries) {
        await expect(provider.authorize(forgery, 'chg_1', never)).rejects.toBeInstanceOf(TypeError)
      }
    })

    test('never uses a nonce twice, not even for the same quote and charge', async () => {
      const quote = chain.quote()
      const many = await Promise.all(
        Array.from({ length: burst }, () => provider.authorize(quote, 'chg_1', never)),
      )
      expect(new Set(many.map(({ record }) => record.nonce)).size).toBe(burst)
      expect(new Set(many.map(({ header }) => header.value)).size).toBe(burst)
    })

    test('pays nothing for an aborted request', async () => {
      const gone = AbortSignal.abort(new Error('left'))
      await expect(provider.authorize(chain.quote(), 'chg_1', gone)).rejects.toThrow('left')
    })

    test('takes every outcome, also of a charge it does not know', async () => {
      await provider.authorize(chain.quote(), 'chg_1', never)
      await provider.closed('chg_1', settled)
      await provider.closed('chg_unknown', { state: 'released', transaction: undefined })
      await expect(provider.authorize(chain.quote(), 'chg_2', never)).resolves.toBeDefined()
    })

    // The last one: a shared payer is closed by it.
    test('closes cleanly, also twice', async () => {
      await provider.close()
      await expect(provider.close()).resolves.toBeUndefined()
    })
  })
}
