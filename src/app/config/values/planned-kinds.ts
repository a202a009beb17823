/**
 * Keys that are planned but not built. They are refused by name, because a limit that is read but not enforced
 * would be worse than none. Paths use `[]` for list items and `*` for user-chosen names.
 */
const NOT_YET: readonly string[] = []

/** Kinds of payer that are planned. */
const PAYER_KINDS: ReadonlySet<string> = new Set<string>()

/** Whether a key is planned. */
export function isPlanned(pattern: string): boolean {
  return NOT_YET.includes(pattern)
}

/** The planned keys, for the reference. */
export function plannedKeys(): readonly string[] {
  return NOT_YET
}

/** The planned kinds of payer, for the reference. */
export function plannedPayerKinds(): readonly string[] {
  return [...PAYER_KINDS]
}

/** Whether a value of `payers.*.kind` is planned. */
export function isPlannedPayerKind(kind: unknown): boolean {
  return typeof kind === 'string' && PAYER_KINDS.has(kind)
}
