/** A person's words as a query of SQLite's full-text search. None of its operators can be typed. */

/** The most words of a search that count. */
const MAX_WORDS = 16

/** Words that every need is written with. */
const FILLERS: ReadonlySet<string> = new Set(
  'a an and are as at be buy by can do find for from get give how i in is it me my of on or pay service that the this to use want what which who with you'.split(
    ' ',
  ),
)

/**
 * The queries to try, the strictest first: every word, then any word. Each word matches as a beginning, and one with punctuation, such
 * as `qwen3.5:9b`, as a phrase.
 */
export function searchQueries(text: string): string[] {
  const all = text
    .toLowerCase()
    .split(/\s+/)
    // A text ends at NUL for the search, in the middle of what is quoted.
    .map((word) => word.replaceAll(/["\0]/g, ''))
    .filter((word) => /[\p{L}\p{N}]/u.test(word))
  const telling = all.filter((word) => !FILLERS.has(word))
  const words = (telling.length > 0 ? telling : all).slice(0, MAX_WORDS).map((word) => `"${word}"*`)
  if (words.length === 0) return []
  return words.length === 1 ? words : [words.join(' AND '), words.join(' OR ')]
}
