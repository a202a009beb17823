/** Which requests a budget is for: `match: { caller: ci, model: ["paid/opus*"], tag.agent: main }`. */
import { foldedName, matchesPattern } from '../name-pattern.ts'
import { isTagScope, parseScope, tagValues } from './scope.ts'

/** Names or patterns by what they are compared with. A request matches when each key has one that matches. */
export type BudgetMatch = ReadonlyMap<MatchKey, readonly string[]>

/** What a request can be matched by. `tag`: a whole tag such as `team:search`. */
export type MatchKey = (typeof MATCH_KEYS)[number] | `tag.${string}`

/** Every key but those of single tags, for parsers and messages. */
export const MATCH_KEYS = ['caller', 'team', 'model', 'route', 'payer', 'seller', 'tag'] as const

/** Reads a key: `caller`, or `tag.agent`. */
export function parseMatchKey(text: string): MatchKey | undefined {
  const named = MATCH_KEYS.find((key) => key === text)
  if (named !== undefined) return named
  return isTagScope(text) && parseScope(text) !== undefined ? text : undefined
}

/** A match of what was written; keys that are none are left out. */
export function budgetMatch(written: Readonly<Record<string, string | readonly string[]>>): BudgetMatch {
  return new Map(
    Object.entries(written).flatMap(([text, names]): [MatchKey, readonly string[]][] => {
      const key = parseMatchKey(text)
      return key === undefined ? [] : [[key, typeof names === 'string' ? [names] : names]]
    }),
  )
}

/** What a request is matched by. */
export interface MatchFacts {
  readonly caller: string
  /** The caller's team, if it has one. */
  readonly team?: string | undefined
  /** The model as the client named it. */
  readonly model?: string | undefined
  /** The name under which clients reach the model that serves; another than {@link model} for an alias or a fallback. */
  readonly publicModel?: string | undefined
  /** The model as the seller names it. */
  readonly remoteModel?: string | undefined
  /** The route's `model_name`: unlike the client's text, it has a bounded number of values. */
  readonly route: string
  readonly payer: string
  readonly seller: string
  readonly tags: readonly string[]
}

/** Whether a request is one that a budget is for; without `match` every one is. */
export function matchesBudget(match: BudgetMatch | undefined, facts: MatchFacts): boolean {
  if (!match) return true
  return [...match].every(([key, patterns]) => {
    // Sellers take `Opus` for `opus`: another spelling is no way around the budget of a model.
    const spelled = key === 'model' ? foldedName : (name: string) => name
    const names = namesOf(key, facts).map(spelled)
    return patterns.some((pattern) =>
      names.some((name) => pattern === '*' || matchesPattern(spelled(pattern), name)),
    )
  })
}

function namesOf(key: MatchKey, facts: MatchFacts): readonly string[] {
  switch (key) {
    case 'caller':
      return [facts.caller]
    case 'team':
      return given(facts.team)
    case 'model':
      // Whichever name was sent: an alias or a fallback is no way around the budget of the model that serves.
      return [...given(facts.model), ...given(facts.publicModel), ...given(facts.remoteModel)]
    case 'route':
      return [facts.route]
    case 'payer':
      return given(facts.payer)
    case 'seller':
      return [facts.seller, ...given(URL.parse(facts.seller)?.host)]
    case 'tag':
      return facts.tags
    default:
      return isTagScope(key) ? tagValues(key, facts.tags) : []
  }
}

function given(name: string | undefined): readonly string[] {
  return name === undefined || name === '' ? [] : [name]
}
