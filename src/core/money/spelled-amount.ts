/** Amounts as typed on the command line. */
import type { Asset } from './assets.ts'
import { MICRO_USD, parseAtomic, parseUsd } from './money.ts'

const WHOLE = /^(0|[1-9]\d{0,30})(?:\.(\d{1,36}))?$/

/**
 * Reads an amount of a token: `1500000` is in smallest units, `1.5` and `1.5 USDC` are whole tokens, and `$1.50` is converted
 * from USD and rounded down, because it serves as a limit.
 * @returns `undefined` for anything else: another token, more decimals than the token has, or USD for a token without a USD value
 */
export function parseSpelledAmount(
  text: string,
  { symbol, decimals, usd }: Pick<Asset, 'symbol' | 'decimals' | 'usd'>,
): bigint | undefined {
  const trimmed = text.trim()
  if (trimmed.startsWith('$')) {
    const micro = parseUsd(trimmed.slice(1).trim())
    if (micro === undefined || !usd) return undefined
    return (micro * 10n ** BigInt(decimals + usd.scale)) / (usd.numerator * MICRO_USD)
  }
  const [number = '', unit, ...rest] = trimmed.split(/\s+/)
  if (rest.length > 0 || (unit !== undefined && unit.toLowerCase() !== symbol.toLowerCase())) return undefined
  if (unit === undefined && !number.includes('.')) return parseAtomic(number)
  const match = WHOLE.exec(number)
  const fraction = match?.[2] ?? ''
  if (!match || fraction.length > decimals) return undefined
  return parseAtomic(`${match[1] ?? '0'}${fraction.padEnd(decimals, '0')}`.replace(/^0+(?=\d)/, ''))
}

/** The spellings, for messages. */
export const AMOUNT_SPELLINGS = "1500000 (smallest units), 1.5, '1.5 USDC' or '$1.50'"
