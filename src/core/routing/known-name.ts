/** Recognizes model names that no seller offers, before anything is paid. */
import { foldedName } from '../name-pattern.ts'

/** Blanks, and characters that are not seen, such as a zero-width space. */
const UNSEEN = /[\s\p{Cf}]/u

/** Whether a name could not be one: a pattern, or with blanks around it; with any blank where a payment would follow. */
export function isImpossibleName(name: string, isPaid: boolean): boolean {
  return (
    name.includes('*') ||
    UNSEEN.test(name[0] ?? '') ||
    UNSEEN.test(name.at(-1) ?? '') ||
    (isPaid && UNSEEN.test(name))
  )
}

/** The known names that differ from a name only in case, blanks, or the form of their characters. */
export function variantsOf(name: string, known: readonly string[]): string[] {
  const own = foldedName(name)
  return known.filter((other) => other !== name && foldedName(other) === own)
}
