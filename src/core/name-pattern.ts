/** Names with wildcards, such as `paid/*` or LiteLLM's `ft:*:team:*`: each `*` stands for one character or more. */

/** A name split at its stars; one part for a name without any. */
export interface NamePattern {
  readonly literals: readonly string[]
}

/** Splits a name at its stars. */
export function parsePattern(name: string): NamePattern {
  return { literals: name.split('*') }
}

/** The number of stars. */
export function starsOf({ literals }: NamePattern): number {
  return literals.length - 1
}

/**
 * What each star of a pattern stands for in a name; where several readings are possible, an earlier star takes as
 * much as it can, as in LiteLLM.
 * @returns an empty list for an exact name that is equal; `undefined` when the name does not match
 */
export function capture({ literals }: NamePattern, name: string): readonly string[] | undefined {
  const [prefix = '', ...rest] = literals
  const suffix = rest.pop()
  if (suffix === undefined) return prefix === name ? [] : undefined
  if (!name.startsWith(prefix) || !name.endsWith(suffix)) return undefined
  const stars: string[] = []
  let end = name.length - suffix.length
  for (const part of rest.toReversed()) {
    // Leaves at least one character for the star behind the part.
    const at = name.lastIndexOf(part, end - 1 - part.length)
    if (at <= prefix.length) return undefined
    stars.unshift(name.slice(at + part.length, end))
    end = at
  }
  if (end <= prefix.length) return undefined
  return [name.slice(prefix.length, end), ...stars]
}

/** An exact name beats every pattern; among patterns the one with more literal characters wins. */
export function specificity({ literals }: NamePattern): number {
  return literals.length === 1
    ? Number.MAX_SAFE_INTEGER
    : literals.reduce((length, part) => length + part.length, 0)
}

/** Puts what was captured in place of the stars of a template, in order; a template may have fewer. */
export function fillStars(template: string, captured: readonly string[]): string {
  const [first = '', ...rest] = template.split('*')
  return rest.reduce((text, part, index) => text + (captured[index] ?? '*') + part, first)
}

/** Whether a name matches a pattern such as `paid/*`; also used for the allow-lists of callers. */
export function matchesPattern(pattern: string, name: string): boolean {
  return capture(parsePattern(pattern), name) !== undefined
}

/** A name without what sellers may overlook: case, blanks, and the form of its characters. */
export function foldedName(name: string): string {
  return name
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/[\s\p{Cf}]/gu, '')
}
