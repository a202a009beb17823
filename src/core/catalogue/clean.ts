/** Text and addresses from catalogues: bounded, on one line, and without characters that are not seen. */
import { withoutHidden } from '../visible.ts'
import { findNetwork } from '../money/assets.ts'

/** Longest texts, characters. */
export const TEXT_LIMITS = { name: 120, word: 60, summary: 600, id: 160, explanation: 1000 } as const
/** The most words of one listing. */
const MAX_WORDS = 40
const MAX_URL = 2000
/** The longest entry that is kept as it was published, characters. */
const MAX_RAW = 32_768
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])

/** A text of at most `most` characters; empty for everything that is none. */
export function cleanText(value: unknown, most: number): string {
  if (typeof value !== 'string') return ''
  // Cut before the work as well: a text may be megabytes long.
  const shown = withoutHidden(value.slice(0, most * 4))
    .replaceAll(/\s+/g, ' ')
    .trim()
  return Array.from(shown).slice(0, most).join('').trim()
}

/** A list of short texts, without repetition. */
export function cleanWords(value: unknown): string[] {
  if (!Array.isArray(value)) return []
  const words = value.slice(0, MAX_WORDS).map((word) => cleanText(word, TEXT_LIMITS.word))
  return [...new Set(words)].filter((word) => word !== '')
}

/** An http or https address without a login; `undefined` for everything else. @param base for a relative one */
export function cleanUrl(value: unknown, base?: string): string | undefined {
  if (typeof value !== 'string' || value === '' || value.length > MAX_URL) return undefined
  if (!URL.canParse(value, base)) return undefined
  const url = new URL(value, base)
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return undefined
  if (url.username !== '' || url.password !== '') return undefined
  url.hash = ''
  return url.href.length > MAX_URL ? undefined : url.href
}

/** A method that can be paid for, upper case. */
export function cleanMethod(value: unknown): string | undefined {
  const method = typeof value === 'string' ? value.toUpperCase() : ''
  return METHODS.has(method) ? method : undefined
}

/** The CAIP-2 id of a network, or the catalogue's own name of one that is not known. */
export function cleanNetwork(value: unknown): string {
  const name = cleanText(value, TEXT_LIMITS.word)
  return findNetwork(name)?.id ?? name
}

/** An address, an amount or another single word; `undefined` for an empty one. */
export function cleanToken(value: unknown): string | undefined {
  const text = typeof value === 'number' ? String(value) : cleanText(value, 100)
  return text === '' ? undefined : text
}

/** A decimal number as plain decimal text, without an exponent; `undefined` for everything else, negative numbers included. */
export function decimalText(value: unknown): string | undefined {
  const number =
    typeof value === 'string' && /^\d{1,15}(?:\.\d{1,18})?$/.test(value.trim()) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isFinite(number) || number < 0 || number > 1e15) return undefined
  const text = typeof value === 'string' ? value.trim() : number.toFixed(12)
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text
}

/** An entry as JSON, if it is not too long and not nested too deep. */
export function rawOf(entry: unknown): string | undefined {
  try {
    const text = JSON.stringify(entry)
    return text.length > MAX_RAW ? undefined : text
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}
