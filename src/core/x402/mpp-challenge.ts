/**
 * Reads the challenges of the Machine Payments Protocol (MPP): `WWW-Authenticate: Payment …` (draft-httpauth-payment-00). Nothing in
 * them is trusted; what is signed is decided by the gate.
 */

/** The parameters of one challenge by lower-case name, unescaped. They go back with the payment exactly as they came. */
export type PaymentChallenge = ReadonlyMap<string, string>

/** The longest header that is read, characters. */
const MAX_LENGTH = 65_536

/** The most challenges of one 402 that are read. */
const MAX_CHALLENGES = 32

const GAP = /[\s,]*/y
const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y
const EQUALS = /[ \t]*=[ \t]*/y
const QUOTED = /"((?:[^"\\]|\\.)*)"/sy
const BARE = /[^\s,"]*/y

/**
 * The payment challenges in a WWW-Authenticate header, beside which other schemes may stand.
 * @param header repeated headers joined by commas
 * @returns one entry for each challenge; `undefined` for one that repeats a parameter or breaks off
 */
export function readPaymentChallenges(header: string): readonly (PaymentChallenge | undefined)[] {
  const found: { params: Map<string, string>; isReadable: boolean }[] = []
  let current: (typeof found)[number] | undefined
  const text = header.slice(0, MAX_LENGTH)
  let at = 0
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at
    const match = pattern.exec(text)
    if (match) at = pattern.lastIndex
    return match ?? undefined
  }
  while (at < text.length) {
    take(GAP)
    const name = take(TOKEN)?.[0]
    if (name === undefined) {
      // A quoted text without a name, or a character that belongs nowhere: the challenge before it cannot be relied on.
      if (at < text.length && current) current.isReadable = false
      if (!take(QUOTED)) at += 1
      continue
    }
    if (!take(EQUALS)) {
      if (found.length === MAX_CHALLENGES) break
      current = undefined
      if (name.toLowerCase() === 'payment') found.push((current = { params: new Map(), isReadable: true }))
      continue
    }
    const quoted = text[at] === '"' ? take(QUOTED)?.[1] : undefined
    const isCut = text[at] === '"' && quoted === undefined
    const value = quoted === undefined ? (take(BARE)?.[0] ?? '') : unescaped(quoted)
    if (!current) continue
    const key = name.toLowerCase()
    if (isCut || current.params.has(key)) current.isReadable = false
    current.params.set(key, value)
  }
  return found.map(({ params, isReadable }) => (isReadable ? params : undefined))
}

/** Quoted pairs; official servers write characters beyond Latin-1 as `\uXXXX`, and double every backslash of the text itself. */
function unescaped(quoted: string): string {
  return quoted.replaceAll(/\\(?:u([0-9A-Fa-f]{4})|(.))/gs, (_all, hex: string | undefined, other: string) =>
    hex === undefined ? other : String.fromCharCode(Number.parseInt(hex, 16)),
  )
}
