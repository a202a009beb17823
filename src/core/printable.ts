/**
 * Makes untrusted text safe for a header, a log line, a terminal or a message: every UTF-16 unit outside printable ASCII
 * becomes `?`.
 * @param most the longest result, in characters
 */
export function printable(text: string, most = 256): string {
  return text.slice(0, most).replace(/[^\x20-\x7e]/g, '?')
}
