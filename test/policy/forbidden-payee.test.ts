/** Who must never be paid, address by address; test/policy/gate.test.ts shows that the gate asks. */
import { describe, expect, test } from 'vitest'
import { forbiddenPayee, refuseOwnWallet } from '../../src/core/policy/forbidden-payee.ts'

const zeros = (count: number): string => '0'.repeat(count)
const WALLET = `0x${'ab'.repeat(20)}`
const TOKEN = '0x036cbd53842c5426634e7929541ec2318f3dcf7e'
const why = (payTo: string, self?: string): string | undefined => forbiddenPayee(payTo, [TOKEN], self)

describe('nobody is paid at', () => {
  test.each([
    ['the zero address', `0x${zeros(40)}`],
    ['a burn address', `0x${'f'.repeat(40)}`],
    ['a burn address', `0x${zeros(36)}dead`],
    ['a burn address', `0xdead${zeros(36)}`],
    ['a burn address', `0x${'dead'.repeat(10)}`],
    ['a burn address', `0x${'deadbeef'.repeat(5)}`],
    ['a burn address', `0x${zeros(32)}deadbeef`],
    ['a placeholder for the native coin', `0x${'e'.repeat(40)}`],
    ['the contract Permit2', '0x000000000022d473030f116ddee9f6b43ac78ba3'],
    ["x402's own contract", '0x402085c248eea27d92e8b30b2c58ed07f9e20001'],
    ["x402's own contract", '0x4020a4f3b7b90cca423b9fabcc0ce57c6c240002'],
    ["x402's own contract", '0x4020074e9df2ce1dee5a9c1b5c3f541d02a10003'],
    ['the contract of a token', TOKEN],
    ['the system program', '11111111111111111111111111111111'],
    ['the incinerator', '1nc1nerator11111111111111111111111111111111'],
    ['the memo program', 'MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr'],
    ['an account of Solana itself', 'Vote111111111111111111111111111111111111111'],
    ['an account of Solana itself', 'SysvarRent111111111111111111111111111111111'],
  ])('%s: %s', (what, payTo) => {
    expect(why(payTo)).toBe(what)
  })

  test('the contracts of the EVM itself, up to the last of them and no further', () => {
    const at = (number: number): string | undefined => why(`0x${number.toString(16).padStart(40, '0')}`)
    for (let number = 1; number <= 0x11; number += 1) expect(at(number)).toBe('a contract of the EVM itself')
    expect(at(0x100)).toBe('a contract of the EVM itself')
    for (const other of [0x12, 0x1f, 0x21, 0xff, 0x101, 0x1001]) expect(at(other)).toBeUndefined()
  })

  test('the wallet that pays, in either case; on Solana letter case tells addresses apart', () => {
    expect(why(WALLET, WALLET)).toBe('the wallet that pays')
    expect(why(WALLET, WALLET.toUpperCase().replace('0X', '0x'))).toBe('the wallet that pays')
    expect(why(WALLET, `0x${'cd'.repeat(20)}`)).toBeUndefined()
    const solana = '7YttLkHDoNj9wyDur5pM1ejNaAvT9X4eqaYcHQqtj2G5'
    expect(why(solana, solana)).toBe('the wallet that pays')
  })

  test('an EVM address that ends with ones is somebody', () => {
    expect(why(`0x${'a'.repeat(32)}${'1'.repeat(8)}`)).toBeUndefined()
  })

  test('anybody else may be paid, also where the wallet is not known', () => {
    expect(why(WALLET)).toBeUndefined()
    expect(why('7YttLkHDoNj9wyDur5pM1ejNaAvT9X4eqaYcHQqtj2G5')).toBeUndefined()
  })
})

describe('a signature that pays its own wallet', () => {
  test('rule 6: is refused, whatever the case of its addresses', () => {
    for (const payTo of [WALLET, WALLET.replaceAll('a', 'A')]) {
      expect(() => refuseOwnWallet({ from: WALLET }, { payTo })).toThrow('the paying wallet itself')
      expect(() => refuseOwnWallet({ from: payTo }, { payTo: WALLET })).toThrow('the paying wallet itself')
    }
  })

  test('is not one that pays somebody else', () => {
    expect(() => refuseOwnWallet({ from: WALLET }, { payTo: `0x${'cd'.repeat(20)}` })).not.toThrow()
  })
})
