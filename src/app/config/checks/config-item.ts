import type { ConfigPath } from '../values/problems.ts'

export type Fields = Readonly<Record<string, unknown>>

/** An item of a list and its position. */
export interface Item {
  readonly path: ConfigPath
  readonly fields: Fields
}
