/** What a budget keeps separate limits for. */
import { TAG_NAME } from './tag-name.ts'

/**
 * What a limit is kept per. `tag`: each tag of the request; `tag.<name>`: the value of its tag `<name>:<value>`.
 */
export type Scope = (typeof SCOPES)[number] | `tag.${string}`

/** Every scope but those of single tags, for parsers and messages. */
export const SCOPES = ['caller', 'team', 'model', 'payer', 'seller', 'tag'] as const

/** The subject of what carries no recognised tag, or whose caller has no team. */
export const OTHER_SUBJECT = 'other'

/** Reads `caller`, or `tag.session`. */
export function parseScope(text: string): Scope | undefined {
  const named = SCOPES.find((scope) => scope === text)
  if (named !== undefined) return named
  return isTagScope(text) && TAG_NAME.test(tagNameOf(text)) ? text : undefined
}

/** Whether a text is `tag.<name>`. */
export function isTagScope(text: string): text is `tag.${string}` {
  return text.startsWith('tag.')
}

/** The name in `tag.<name>`. */
export function tagNameOf(scope: `tag.${string}`): string {
  return scope.slice('tag.'.length)
}

/** The values of the tags `<name>:<value>` of a request, each once. */
export function tagValues(scope: `tag.${string}`, tags: readonly string[]): string[] {
  const prefix = `${tagNameOf(scope)}:`
  const values = tags.filter((tag) => tag.startsWith(prefix)).map((tag) => tag.slice(prefix.length))
  return [...new Set(values)]
}
