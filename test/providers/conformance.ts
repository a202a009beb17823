import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ChargeOutcome, Provider } from '../../src/core/payer/provider.ts'
import { Quote } from '../../src/core/policy/gate.ts'
import { quoteOf } from '../kit/quotes.ts'

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
}

/**
 * What every payer keeps, whatever it pays with.
 *
 * @param make - Starts a payer that may pay on Base Sepolia.
 */
export function describeProvider(
  name: string,
  make: () => Promise<Provider>,
  { presigned = false, burst = 40, shared = false }: ProviderTraits = {},
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
      expect(provider.networks).toContain('eip155:84532')
    })

    test('pays every offer that it supports, and asking whether it does changes nothing', async () => {
      const quote = quoteOf()
      expect([provider.supports(quote.offer), provider.supports(quote.offer)]).toEqual([true, true])
      expect(provider.supports({ ...quote.offer, scheme: 'unheard-of' })).toBe(false)
      await expect(provider.authorize(quote, 'chg_1', never)).resolves.toHaveProperty('kind', 'authorization')
    })

    test('gives a header and the record of what was signed, and both say the same', async () => {
      const { header, record } = await provider.authorize(quoteOf(), 'chg_1', never)
      expect(header.name).toBe(header.name.toLowerCase())
      expect(record.from).toMatch(/^0x[0-9a-f]{40}$/)
      expect(record.nonce).toMatch(/^0x[0-9a-f]{64}$/)
      expect(record.validBefore).toBeGreaterThan(record.validAfter)
      expect(Buffer.from(header.value, 'base64').toString()).toContain(record.nonce)
    })

    const longest = presigned ? 31 * 86_400 : 90
    test(`never signs anything that is valid for more than ${longest} seconds`, async () => {
      const quote = quoteOf(2, { maxTimeoutSeconds: 86_400 }, { maxValiditySeconds: 90 })
      const before = Math.floor(Date.now() / 1000)
      const { record } = await provider.authorize(quote, 'chg_1', never)
      expect(record.validBefore).toBeGreaterThanOrEqual(before + 90)
      expect(record.validBefore).toBeLessThanOrEqual(Math.floor(Date.now() / 1000) + longest)
    })

    test('pays only quotes made by the gate, and no copy of one', async () => {
      const quote = quoteOf()
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
      const quote = quoteOf()
      const many = await Promise.all(
        Array.from({ length: burst }, () => provider.authorize(quote, 'chg_1', never)),
      )
      expect(new Set(many.map(({ record }) => record.nonce)).size).toBe(burst)
      expect(new Set(many.map(({ header }) => header.value)).size).toBe(burst)
    })

    test('pays nothing for an aborted request', async () => {
      const gone = AbortSignal.abort(new Error('left'))
      await expect(provider.authorize(quoteOf(), 'chg_1', gone)).rejects.toThrow('left')
    })

    test('takes every outcome, also of a charge it does not know', async () => {
      await provider.authorize(quoteOf(), 'chg_1', never)
      await provider.closed('chg_1', settled)
      await provider.closed('chg_unknown', { state: 'released', transaction: undefined })
      await expect(provider.authorize(quoteOf(), 'chg_2', never)).resolves.toBeDefined()
    })

    // The last one: a shared payer is closed by it.
    test('closes cleanly, also twice', async () => {
      await provider.close()
      await expect(provider.close()).resolves.toBeUndefined()
    })
  })
}
