/** Tags written `name:value`, such as `agent:coder`: what reports and the spend page group by. */
import { OTHER_SUBJECT } from './scope.ts'

/** The value of the first tag of a name, or `other` for a request that has none. */
export function tagValue(tags: readonly string[] | undefined, name: string): string {
  const prefix = `${name}:`
  return tags?.find((tag) => tag.startsWith(prefix))?.slice(prefix.length) ?? OTHER_SUBJECT
}

/** The tags that a charge keeps: `other` says nothing. */
export function namedTags(tags: readonly string[]): { readonly tags?: readonly string[] } {
  const kept = tags.filter((tag) => tag !== OTHER_SUBJECT)
  return kept.length === 0 ? {} : { tags: kept }
}
