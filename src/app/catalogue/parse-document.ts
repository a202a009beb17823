/** The text of a catalogue's document: JSON, or a `PAY.md` whose front matter is YAML. */
import { parse } from 'yaml'

const FRONT_MATTER = /^\ufeff?---\r?\n([\s\S]*?)\r?\n---(?:\r?\n|$)/

/** @returns the document, or `undefined` for a text that is neither */
export function parseDocument(text: string): unknown {
  const front = FRONT_MATTER.exec(text)?.[1]
  try {
    if (front === undefined) return JSON.parse(text)
    // No aliases: a few lines of them would make gigabytes.
    return parse(front, { maxAliasCount: 0, logLevel: 'silent' })
  } catch {
    return undefined
  }
}
