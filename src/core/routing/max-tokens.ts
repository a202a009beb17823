/**
 * Lowers a request's limit on output tokens. Sellers that charge up front price the full limit, so lowering it is the only way
 * to lower a quote. Only a limit that the client sent is changed: without one a seller prices its own small default (BlockRun:
 * 1,024), and adding a limit would truncate answers that the client did not want truncated.
 */
import { replaceMember, scanTopLevel, type Member } from '../json/json-scan.ts'

const FIELDS: ReadonlySet<string> = new Set(['max_tokens', 'max_completion_tokens', 'max_output_tokens'])

const COUNT = /^[1-9]\d{0,8}$/

/** The limits on output tokens in a body. */
interface Limits {
  /** The highest of them: the one that a seller may price. */
  readonly most: number
  readonly members: readonly (Member & { readonly tokens: number })[]
}

/** @returns `undefined` for a body without a limit, with a duplicate limit, or with one that is not a plain count */
function limitsOf(body: Uint8Array, among: readonly Member[] = scanTopLevel(body) ?? []): Limits | undefined {
  const found = among.filter(({ key }) => FIELDS.has(key))
  const members = found.map((member) => {
    const text = Buffer.from(body.subarray(member.valueStart, member.valueEnd)).toString('latin1')
    return { ...member, tokens: COUNT.test(text) ? Number(text) : 0 }
  })
  if (members.length === 0 || members.some(({ tokens, duplicate }) => tokens === 0 || duplicate))
    return undefined
  return { most: Math.max(...members.map(({ tokens }) => tokens)), members }
}

/** Answers that a request may ask for at once: OpenAI's most. */
const MAX_ANSWERS = 128

/**
 * The output tokens that a request allows, for all the answers it asks for (`n`) together.
 * @param members its top-level members, where they are known
 * @returns 0 if it names no limit, or none that is a plain count
 */
export function allowedTokens(
  body: Uint8Array,
  members: readonly Member[] = scanTopLevel(body) ?? [],
): number {
  return (limitsOf(body, members)?.most ?? 0) * askedAnswers(body, members)
}

/**
 * How many answers a request asks for at once (`n`, `best_of`), at least 1.
 * @param members its top-level members, where they are known
 */
export function askedAnswers(
  body: Uint8Array,
  members: readonly Member[] = scanTopLevel(body) ?? [],
): number {
  const answers = members
    .filter(({ key }) => key === 'n' || key === 'best_of')
    .map(({ valueStart, valueEnd }) => Buffer.from(body.subarray(valueStart, valueEnd)).toString('latin1'))
    .map((text) => (COUNT.test(text) ? Math.min(Number(text), MAX_ANSWERS) : 1))
  return Math.max(1, ...answers)
}

/** A quote above the ceiling. */
export interface Overpriced {
  /** Micro-USD. */
  readonly asked: bigint
  /** Micro-USD, inclusive. */
  readonly limit: bigint
  /** Price per output token in units of 10^-18 USD, if known. */
  readonly perToken?: bigint | undefined
  /** The lowest limit that may be set, tokens. */
  readonly lowest: number
}

/** A body with a lower limit; every other byte is unchanged. */
export interface Reduced {
  readonly body: Buffer
  readonly from: number
  readonly to: number
}

/** Lowers the limit until the quote should fit. @returns `undefined` when that is impossible or would go below `price.lowest` */
export function reduceMaxTokens(body: Uint8Array, price: Overpriced): Reduced | undefined {
  const limits = limitsOf(body)
  const to = limits && fittingTokens(limits.most, price)
  if (!limits || to === undefined || to < price.lowest || to >= limits.most) return undefined
  return reducedTo(body, limits, to)
}

/**
 * Lowers the limit to the highest that fits.
 * @param lowest the lowest limit that may be set, tokens
 * @param fits whether a body may be sent; if it may, so may the same with a lower limit
 * @returns `undefined` when none fits, or the body has no limit
 */
export function lowerMaxTokens(
  body: Uint8Array,
  lowest: number,
  fits: (body: Buffer) => boolean,
): Reduced | undefined {
  const limits = limitsOf(body)
  if (!limits || lowest >= limits.most) return undefined
  let best = reducedTo(body, limits, lowest)
  if (!fits(best.body)) return undefined
  // Between one that fits and one that does not.
  for (let over = limits.most; over - best.to > 1;) {
    const tried = reducedTo(body, limits, Math.floor((best.to + over) / 2))
    if (fits(tried.body)) best = tried
    else over = tried.to
  }
  return best
}

function reducedTo(body: Uint8Array, { members, most }: Limits, to: number): Reduced {
  const lowered = members
    .filter(({ tokens }) => tokens > to)
    // From the end, so that earlier offsets stay valid.
    .toSorted((a, b) => b.valueStart - a.valueStart)
    .reduce<Buffer>((bytes, member) => replaceMember(bytes, member, String(to)), Buffer.from(body))
  return { body: lowered, from: most, to }
}

/**
 * With a known price per token, cuts as many tokens as the excess pays for, plus 2 %. Without one, scales the limit by the ratio
 * of the prices and takes off another 10 %, because the price of the input does not shrink with the answer.
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
