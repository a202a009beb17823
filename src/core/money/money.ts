import { MAX_UINT256 } from '../evm.ts'

/** Micro-USD in one USD: limits in USD are kept in this unit (rule 1). */
export const MICRO_USD = 1_000_000n

const ATOMIC = /^(?:0|[1-9]\d{0,77})$/
const USD = /^(0|[1-9]\d{0,14})(?:\.(\d{1,6}))?$/
const RATE = /^(0|[1-9]\d{0,14})(?:\.(\d{1,18}))?$/

/**
 * Reads an amount in an asset's smallest unit, strictly: a string of decimal digits without sign, exponent,
 * radix prefix, blank or leading zero, at most 2^256 - 1. Anything else (also a JSON number, which may have
 * lost digits already) gives `undefined`: a limit check and a signer must never read two different amounts from
 * one text.
 */
export function parseAtomic(value: unknown): bigint | undefined {
  if (typeof value !== 'string' || !ATOMIC.test(value)) return undefined
  const amount = BigInt(value)
  return amount <= MAX_UINT256 ? amount : undefined
}

/** Reads a USD amount such as `"5"`, `"0.10"` into micro-USD; at most 6 decimals, below 10^15 USD, else `undefined`. */
export function parseUsd(value: unknown): bigint | undefined {
  const match = typeof value === 'string' ? USD.exec(value) : null
  if (!match) return undefined
  return BigInt(match[1] ?? '0') * MICRO_USD + BigInt((match[2] ?? '').padEnd(6, '0'))
}

/** Writes micro-USD as a decimal USD string without trailing zeros: `1000n` is `"0.001"`. */
export function formatUsd(micro: bigint): string {
  return formatUnits(micro, 6)
}

/** Writes an amount in smallest units as a decimal string with up to `decimals` places, trailing zeros cut. */
export function formatUnits(amount: bigint, decimals: number): string {
  const negative = amount < 0n
  const digits = (negative ? -amount : amount).toString().padStart(decimals + 1, '0')
  const whole = digits.slice(0, digits.length - decimals)
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, '')
  return `${negative ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`
}

/** A USD value of one whole unit of an asset, as an exact ratio: `usd = numerator / 10^scale`. */
export interface UsdRate {
  readonly numerator: bigint
  readonly scale: number
}

/** Reads a rate such as `"1"` or `"0.05"`; at most 18 decimals; zero and junk give `undefined`. */
export function parseRate(value: unknown): UsdRate | undefined {
  const match = typeof value === 'string' ? RATE.exec(value) : null
  if (!match) return undefined
  const fraction = match[2] ?? ''
  const numerator = BigInt((match[1] ?? '0') + fraction)
  return numerator > 0n ? { numerator, scale: fraction.length } : undefined
}

/**
 * The micro-USD value of `amount` smallest units of an asset, rounded up: a conversion must never let a payment exceed a
 * limit (rule 1).
 */
export function toMicroUsd(amount: bigint, decimals: number, rate: UsdRate): bigint {
  const numerator = amount * rate.numerator * MICRO_USD
  const denominator = 10n ** BigInt(decimals + rate.scale)
  return (numerator + denominator - 1n) / denominator
}

/** The most units of an asset that are worth no more than an amount in micro-USD. */
export function fromMicroUsd(micro: bigint, decimals: number, rate: UsdRate): bigint {
  return (micro * 10n ** BigInt(decimals + rate.scale)) / (rate.numerator * MICRO_USD)
}
