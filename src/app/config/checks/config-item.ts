import type { ConfigPath } from '../values/problems.ts'

export type Fields = Readonly<Record<string, unknown>>

/** An item of a list and where it stands. */
export interface Item {
  readonly path: ConfigPath
  readonly fields: Fields
}
