import * as fc from 'fast-check'
import { domainSeparator, hashTypedData, type TypedDataDefinition } from 'viem'
import { expect, test } from 'vitest'
import { toEip712, type TypedMessage } from '../../src/core/payer/typed-message.ts'
import { TypedDigest } from '../../src/io/signer/typed-digest.ts'

const hexOf = (bytes: number): fc.Arbitrary<string> =>
  fc
    .uint8Array({ minLength: bytes, maxLength: bytes })
    .map((value) => `0x${Buffer.from(value).toString('hex')}`)
const address = hexOf(20)
const uint = fc.bigInt(0n, 2n ** 256n - 1n).map(String)
const chainId = fc.integer({ min: 1, max: 2 ** 40 })
const domain = fc.record({
  name: fc.string({ minLength: 1 }),
  version: fc.string({ minLength: 1 }),
  chainId,
  verifyingContract: address,
})
const permit2 = {
  from: address,
  token: address,
  amount: uint,
  nonce: uint,
  deadline: uint,
  to: address,
  validAfter: uint,
}
const messages: fc.Arbitrary<TypedMessage> = fc.oneof(
  fc.record({
    kind: fc.constant('eip3009' as const),
    domain,
    message: fc.record({
      from: address,
      to: address,
      value: uint,
      validAfter: uint,
      validBefore: uint,
      nonce: hexOf(32),
    }),
  }),
  fc.record({
    kind: fc.constant('eip2612_permit' as const),
    domain,
    message: fc.record({ owner: address, value: uint, nonce: uint, deadline: uint }),
  }),
  fc.record({
    kind: fc.constant('permit2_exact' as const),
    domain: fc.record({ chainId }),
    message: fc.record(permit2),
  }),
  fc.record({
    kind: fc.constant('permit2_upto' as const),
    domain: fc.record({ chainId }),
    message: fc.record({ ...permit2, facilitator: address }),
  }),
)

test('whatever is in a message, the digest is the one viem computes from its typed data', () => {
  // One instance for all: what it remembers of one message must not leak into the next.
  const digest = new TypedDigest()
  fc.assert(
    fc.property(messages, (typed) => {
      // viem's types want literal names; the data is the same.
      const wanted = hashTypedData(toEip712(typed) as unknown as TypedDataDefinition)
      expect(digest.of(typed)).toBe(wanted)
    }),
    { numRuns: 400 },
  )
})

test("a token's separator is the one viem computes", () => {
  const own = {
    name: 'USD Coin',
    version: '2',
    chainId: 8453,
    verifyingContract: `0x${'ab'.repeat(20)}` as const,
  }
  expect(new TypedDigest().separator(own)).toBe(domainSeparator({ domain: own }))
})

test('a number over 256 bits and an address of another length are refused, not cut', () => {
  const digest = new TypedDigest()
  const own = { name: 'x', version: '1', chainId: 1, verifyingContract: `0x${'ab'.repeat(20)}` }
  const permit = { owner: own.verifyingContract, value: '1', nonce: '0', deadline: '1' }
  const value = (2n ** 256n).toString()
  expect(() => digest.of({ kind: 'eip2612_permit', domain: own, message: { ...permit, value } })).toThrow(
    RangeError,
  )
  const owner = '0xab'
  expect(() => digest.of({ kind: 'eip2612_permit', domain: own, message: { ...permit, owner } })).toThrow(
    RangeError,
  )
})
