import { isPlainObject } from '../reading/interpolate.ts'
import type { ConfigPath } from '../values/problems.ts'
import type { Translation } from './translation.ts'

/** What is done with the keys of a section. */
export type SectionKeys = Readonly<Record<string, (item: unknown, path: ConfigPath) => void>>

/** Hands each known key of a section to its handler; every other one has no effect. */
export function translateSection(
  work: Translation,
  input: Readonly<Record<string, unknown>>,
  name: string,
  known: SectionKeys,
): void {
  const section = input[name]
  for (const [key, item] of Object.entries(isPlainObject(section) ? section : {})) {
    const handle = Object.hasOwn(known, key) ? known[key] : undefined
    if (handle) handle(item, [name, key])
    else work.ignore([name, key], item)
  }
}
