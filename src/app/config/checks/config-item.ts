import { isPlainObject } from '../reading/interpolate.ts'
import type { ConfigPath } from '../values/problems.ts'

export type Fields = Readonly<Record<string, unknown>>

/** An item of a list and its position. */
export interface Item {
  readonly path: ConfigPath
  readonly fields: Fields
}

export function items(config: Fields, key: string): Item[] {
  const list = config[key]
  if (!Array.isArray(list)) return []
  return list.flatMap((fields: unknown, index) =>
    isPlainObject(fields) ? [{ path: [key, index], fields }] : [],
  )
}
