/** JSON as other programs may write it: with white space in any place that allows it. */
import * as fc from 'fast-check'

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Up to two characters of white space. */
export const blank = fc.string({ unit: fc.constantFrom(' ', '\n', '\t', '\r'), maxLength: 2 })

/** Writes a value with white space around every token. */
export function spaced(value: unknown, gap: string): string {
  if (Array.isArray(value))
    return `[${gap}${value.map((item) => spaced(item, gap)).join(`${gap},${gap}`)}${gap}]`
  if (!isObject(value)) return JSON.stringify(value)
  const members = Object.entries(value).map(
    ([key, item]) => `${JSON.stringify(key)}${gap}:${gap}${spaced(item, gap)}`,
  )
  return `{${gap}${members.join(`${gap},${gap}`)}${gap}}`
}
