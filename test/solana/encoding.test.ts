import {
  getAddressDecoder,
  getBase58Decoder,
  getBase58Encoder,
  getProgramDerivedAddress,
  getShortU16Encoder,
  address,
} from '@solana/kit'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isSolanaAddress, readAddress, addressOf } from '../../src/core/solana/address.ts'
import { decodeBase58, encodeBase58 } from '../../src/core/solana/base58.ts'
import { decodeCompactU16, encodeCompactU16 } from '../../src/core/solana/compact-u16.ts'
import { isOnCurve } from '../../src/core/solana/curve.ts'
import { TOKEN_2022_PROGRAM, TOKEN_PROGRAM } from '../../src/core/solana/programs.ts'
import { deriveProgramAddress, deriveTokenAccount } from '../../src/core/solana/token-account.ts'
import { createWallet, sha256 } from '../kit/solana/chain.ts'

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })

describe('base58', () => {
  test('writes and reads what the official code does', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const text = getBase58Decoder().decode(bytes)
        expect(encodeBase58(bytes)).toBe(text)
        expect(decodeBase58(text)).toEqual(Uint8Array.from(getBase58Encoder().encode(text)))
      }),
    )
  })

  test.each(['0', 'O', 'I', 'l', 'a b', ' a', 'a\n', '\u00e4', '1'.repeat(129)])(
    '%j is no base58',
    (text) => {
      expect(decodeBase58(text)).toBeUndefined()
    },
  )
})

describe('addresses', () => {
  test('have one spelling each', () => {
    fc.assert(
      fc.property(bytes32, (bytes) => {
        const text = addressOf(bytes)
        expect(text).toBe(getAddressDecoder().decode(bytes))
        expect(readAddress(text)).toEqual(bytes)
      }),
    )
  })

  test.each([
    ['an EVM address', '0x036CbD53842c5426634e7929541eC2318f3dCF7e'],
    ['33 bytes', encodeBase58(new Uint8Array(33).fill(1))],
    ['31 bytes', encodeBase58(new Uint8Array(31).fill(200))],
    ['a space behind it', `${TOKEN_PROGRAM} `],
    ['a line end behind it', `${TOKEN_PROGRAM}\n`],
    ['nothing', ''],
    ['33 zeros', '1'.repeat(33)],
  ])('%s is none', (_name, text) => {
    expect(isSolanaAddress(text)).toBe(false)
  })
})

describe('lengths on the wire', () => {
  test('are what the official code writes, and are read back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 65_535 }), (value) => {
        const bytes = encodeCompactU16(value)
        expect([...bytes]).toEqual([...getShortU16Encoder().encode(value)])
        expect(decodeCompactU16(bytes, 0)).toEqual({ value, end: bytes.length })
      }),
    )
  })

  test.each([-1, 65_536, 1.5, Number.NaN])('%d is not a length', (value) => {
    expect(() => encodeCompactU16(value)).toThrow(RangeError)
  })

  test.each([
    ['cut off', [0x80]],
    ['nothing', []],
    ['longer than needed', [0x80, 0x00]],
    ['longer than needed, three bytes', [0xff, 0x80, 0x00]],
    ['over 16 bits', [0xff, 0xff, 0x04]],
    ['four bytes', [0x80, 0x80, 0x80, 0x01]],
  ])('%s is refused', (_name, bytes) => {
    expect(decodeCompactU16(Uint8Array.from(bytes), 0)).toBeUndefined()
  })
})

describe('points of the curve', () => {
  test('are all public keys', () => {
    for (let count = 0; count < 20; count += 1) {
      const own = readAddress(createWallet().address)
      expect(own && isOnCurve(own)).toBe(true)
    }
  })

  test('are about half of all 32 bytes, and the official code derives the same addresses', async () => {
    await fc.assert(
      fc.asyncProperty(
        bytes32,
        fc.array(fc.uint8Array({ maxLength: 32 }), { maxLength: 5 }),
        async (program, seeds) => {
          const owner = addressOf(program)
          const [official, bump] = await getProgramDerivedAddress({ programAddress: address(owner), seeds })
          expect(deriveProgramAddress(owner, seeds, sha256)).toEqual({ address: official, bump })
        },
      ),
    )
  })

  test('the known small ones are points', () => {
    expect(isOnCurve(new Uint8Array(32))).toBe(true)
    expect(isOnCurve(Uint8Array.from([1, ...new Uint8Array(31)]))).toBe(true)
    expect(isOnCurve(Uint8Array.from([2, ...new Uint8Array(31)]))).toBe(false)
    expect(isOnCurve(new Uint8Array(31))).toBe(false)
  })

  test('too many or too long seeds are refused', () => {
    const seeds = Array.from({ length: 16 }, () => Uint8Array.of(1))
    expect(() => deriveProgramAddress(TOKEN_PROGRAM, seeds, sha256)).toThrow(RangeError)
    expect(() => deriveProgramAddress(TOKEN_PROGRAM, [new Uint8Array(33)], sha256)).toThrow(RangeError)
  })
})

test('a token account depends on wallet, mint and token program', () => {
  const [owner, mint] = [createWallet().address, createWallet().address]
  const account = deriveTokenAccount(owner, mint, TOKEN_PROGRAM, sha256)
  expect(account).not.toBe(deriveTokenAccount(owner, mint, TOKEN_2022_PROGRAM, sha256))
  expect(account).not.toBe(deriveTokenAccount(mint, owner, TOKEN_PROGRAM, sha256))
  expect(() => deriveTokenAccount('nobody', mint, TOKEN_PROGRAM, sha256)).toThrow(RangeError)
})
