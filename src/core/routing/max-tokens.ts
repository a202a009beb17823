/**
 * Lowers a request's limit of answer tokens: sellers that charge ahead reckon with all of them, so it is the one lever on a
 * quote. Only a limit that the client sent is touched: what a seller takes without one is its own default and small (BlockRun:
 * 1,024), and a limit that no one asked for would cut answers unintentionally.
 */
import { replaceMember, scanTopLevel, type Member } from '../json/json-scan.ts'

const FIELDS: ReadonlySet<string> = new Set(['max_tokens', 'max_completion_tokens', 'max_output_tokens'])

const COUNT = /^[1-9]\d{0,8}$/

/** A body's limits of answer tokens. */
interface Limits {
  /** The highest of them: the one a seller may reckon with. */
  readonly most: number
  readonly members: readonly (Member & { readonly tokens: number })[]
}

/** @returns `undefined` for a body that names none, one twice, or one that is no plain count */
function limitsOf(body: Uint8Array): Limits | undefined {
  const found = (scanTopLevel(body) ?? []).filter(({ key }) => FIELDS.has(key))
  const members = found.map((member) => {
    const text = Buffer.from(body.subarray(member.valueStart, member.valueEnd)).toString('latin1')
    return { ...member, tokens: COUNT.test(text) ? Number(text) : 0 }
  })
  if (members.length === 0 || members.some(({ tokens, duplicate }) => tokens === 0 || duplicate))
    return undefined
  return { most: Math.max(...members.map(({ tokens }) => tokens)), members }
}

/** What a quote was, and what it may be. */
export interface Overpriced {
  /** Micro-USD. */
  readonly asked: bigint
  /** Micro-USD, inclusive. */
  readonly limit: bigint
  /** Price of an answer token in units of 10^-18 USD, where it is known. */
  readonly perToken?: bigint | undefined
  /** The fewest tokens an answer may be limited to. */
  readonly lowest: number
}

/** A body with a lower limit; every other byte is as it was. */
export interface Reduced {
  readonly body: Buffer
  readonly from: number
  readonly to: number
}

/** Lowers the limit so far that the quote should fit. @returns `undefined` where it cannot, or not without going too low */
export function reduceMaxTokens(body: Uint8Array, price: Overpriced): Reduced | undefined {
  const limits = limitsOf(body)
  const to = limits && fittingTokens(limits.most, price)
  if (!limits || to === undefined || to < price.lowest || to >= limits.most) return undefined
  const lowered = limits.members
    .filter(({ tokens }) => tokens > to)
    // From the end, so that the places of the others stay right.
    .toSorted((a, b) => b.valueStart - a.valueStart)
    .reduce<Buffer>((bytes, member) => replaceMember(bytes, member, String(to)), Buffer.from(body))
  return { body: lowered, from: limits.most, to }
}

/**
 * With a known price of a token as many are cut as the quote is too high, and a fiftieth more. Without one by the ratio of
 * the prices, less a tenth: the share of the input does not get smaller with the answer.
 */
function fittingTokens(tokens: number, { asked, limit, perToken }: Overpriced): number | undefined {
  if (asked <= limit || asked <= 0n) return undefined
  if (perToken === undefined || perToken <= 0n) {
    return Number((BigInt(tokens) * limit * 9n) / (asked * 10n))
  }
  const over = (asked - limit) * 10n ** 12n
  const cut = (over * 51n + perToken * 50n - 1n) / (perToken * 50n)
  return Number(BigInt(tokens) - cut)
}
