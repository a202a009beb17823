/**
 * Text from outside, safe for a terminal and a log. Control characters move the cursor, set colours or run commands of a terminal;
 * marks of direction and characters without width let one text look like another.
 */

/**
 * Control (C0, DEL, C1), format (marks of direction, zero width, tags), halves of characters, line and paragraph separators, and
 * whatever else is shown as nothing, such as fillers and variation selectors.
 */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu

/**
 * A text of lines: tabs and line feeds stay, everything else that is not seen becomes its escape, such as `\u202e`. JSON says the same
 * afterwards, because inside its strings these are its own escapes.
 */
export function visible(text: string): string {
  return text.replace(HIDDEN, (found) => (found === '\n' || found === '\t' ? found : escaped(found)))
}

/** One line: line feeds and tabs become escapes too, so that no text begins a line of its own. */
export function visibleLine(text: string): string {
  return text.replace(HIDDEN, escaped)
}

/** Text without any of it: what is not seen becomes a space. For text that is stored and searched. */
export function withoutHidden(text: string): string {
  return text.replace(HIDDEN, ' ')
}

function escaped(found: string): string {
  let text = ''
  for (let at = 0; at < found.length; at += 1) {
    text += `\\u${found.charCodeAt(at).toString(16).padStart(4, '0')}`
  }
  return text
}
