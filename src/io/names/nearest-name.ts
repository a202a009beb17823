/** Which known name a misspelt one was meant to be. */
import { distance } from 'fastest-levenshtein'

/** Names that a message lists at most. */
const MAX_LISTED = 40

/**
 * The known name that is near enough to be what was meant: a slip of the keyboard, or a longer or shorter form.
 * @returns `undefined` when none is near
 */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const lower = name.toLowerCase()
  const strangers = (candidate: string): number => lettersApart(lower, candidate.toLowerCase())
  const most = lower.length < 4 ? 1 : Math.max(2, Math.floor(lower.length / 3))
  const nearest = known
    .map((candidate) => ({ candidate, edits: editsBetween(lower, candidate.toLowerCase()) }))
    .filter(({ candidate, edits }) => edits <= most && edits < Math.max(lower.length, candidate.length))
    .toSorted(
      (one, other) => one.edits - other.edits || strangers(one.candidate) - strangers(other.candidate),
    )[0]
  return (
    nearest ?? known.map((candidate) => ({ candidate })).find(({ candidate }) => isLonger(lower, candidate))
  )?.candidate
}

/** Up to three known names that are near enough to be what was meant, the nearest first. */
export function nearestNames(name: string, known: readonly string[]): string[] {
  const left = [...new Set(known)]
  const found: string[] = []
  while (found.length < 3) {
    const near = nearestName(name, left)
    if (near === undefined) break
    found.push(near)
    left.splice(left.indexOf(near), 1)
  }
  return found
}

/**
 * What to write instead of an unknown name: `Did you mean "base"?`, or the names that are known.
 * @param known in the order in which they are listed
 */
export function suggestName(name: string, known: readonly string[]): string {
  const near = nearestName(name, known)
  if (near !== undefined) return `Did you mean "${clean(near)}"?`
  const names = [...new Set(known)]
  if (names.length === 0) return 'None is configured.'
  const more = names.length > MAX_LISTED ? ` and ${names.length - MAX_LISTED} more` : ''
  return `Known: ${names.slice(0, MAX_LISTED).map(clean).join(', ')}${more}.`
}

/** `unknown payer "bsae". Did you mean "base"?` */
export function unknownName(kind: string, name: string, known: readonly string[]): string {
  return `unknown ${kind} "${clean(name)}". ${suggestName(name, known)}`
}

/**
 * {@link unknownName} for a value that may be a secret in the wrong place: it is repeated only where it is nearly a
 * known name.
 */
export function unknownValue(kind: string, value: string, known: readonly string[]): string {
  return nearestName(value, known) === undefined
    ? `unknown ${kind}. ${suggestName(value, known)}`
    : unknownName(kind, value, known)
}

/** Whether one is the other with more behind it. */
function isLonger(lower: string, candidate: string): boolean {
  const other = candidate.toLowerCase()
  return lower.length > 1 && other.length > 1 && (lower.startsWith(other) || other.startsWith(lower))
}

/** How many letters only one of the two has: a slip doubles, drops or swaps letters more often than it brings others in. */
function lettersApart(one: string, other: string): number {
  const missing = (from: string, others: string): number =>
    [...new Set(from)].filter((letter) => !others.includes(letter)).length
  return missing(one, other) + missing(other, one)
}

/** Two neighbouring letters in the wrong order are one slip. */
function editsBetween(one: string, other: string): number {
  if (one === other) return 0
  return isSwapped(one, other) ? 1 : distance(one, other)
}

function isSwapped(one: string, other: string): boolean {
  if (one.length !== other.length) return false
  let at = 0
  while (one[at] === other[at]) at += 1
  return one.slice(0, at) + (one[at + 1] ?? '') + (one[at] ?? '') + one.slice(at + 2) === other
}

function clean(text: string): string {
  const printable = text.replace(/[^\x20-\x7e]/g, '?')
  return printable.length > 60 ? `${printable.slice(0, 57)}...` : printable
}
