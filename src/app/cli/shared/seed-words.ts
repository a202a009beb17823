/** Words that users of other programs type, in this program's spelling. */

/** Go's `flag` package takes x402-buyer's flags with one dash as with two. */
const ONE_DASH = /^-(?:obol|config-dir|auths-dir|config|auths|state|listen|reload-interval)(?:=|$)/

/** The words of a command line as they are read. */
export function ownWords(args: readonly string[]): readonly string[] {
  const [command, ...words] = args
  // buy.py's maintain takes no name: it is process --all.
  if (command === 'maintain' && !words.includes('--all') && (words[0] ?? '-').startsWith('-'))
    return ['process', '--all', ...words]
  if (command === 'serve' && words.some((word) => /^--?obol$/.test(word)))
    return [command, ...words.map((word) => (ONE_DASH.test(word) ? `-${word}` : word))]
  return args
}
