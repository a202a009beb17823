/** A fenced block of a Markdown page. */
export interface Block {
  /** The word of the HTML comment on the line before it, e.g. `config` for `<!-- config -->`. */
  marker: string | undefined
  /** What stands behind the opening fence. */
  language: string
  /** What stands between the fences, with its last line break. */
  text: string
  /** Of the opening fence, from 1. */
  line: number
}

const MARKER = /^<!-- ([a-z]+) -->$/
const FENCE = /^\s*(`{3,}|~{3,})\s*(.*)$/

/** The fenced blocks of a page, indented ones too. @throws {Error} when a block does not end */
export function blocksOf(markdown: string): Block[] {
  const lines = markdown.split('\n')
  const blocks: Block[] = []
  for (let at = 0; at < lines.length; at += 1) {
    const opening = FENCE.exec(lines[at] ?? '')
    if (!opening) continue
    const [, fence = '', language = ''] = opening
    const end = lines.findIndex((line, index) => index > at && line.trim() === fence)
    if (end === -1) throw new Error(`the block that begins on line ${at + 1} does not end`)
    const marker = MARKER.exec(lines[at - 1] ?? '')?.[1]
    const text = lines.slice(at + 1, end).map((line) => `${line}\n`)
    blocks.push({ marker, language, text: text.join(''), line: at + 1 })
    at = end
  }
  return blocks
}

/** Replaces a piece of an example. @throws {Error} when it is not there exactly once: the example has changed */
export function substitute(text: string, piece: string, replacement: string): string {
  const parts = text.split(piece)
  if (parts.length !== 2)
    throw new Error(`"${piece}" stands ${parts.length - 1} times in the example, not once`)
  return parts.join(replacement)
}
