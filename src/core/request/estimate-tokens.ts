/** An estimate of the tokens of a request, for where counting them would cost money. */

/** What an image or a document counts for: its bytes say nothing about it. */
const ATTACHMENT_TOKENS = 1_600

/** Characters of English text or JSON in a token. */
const CHARACTERS = 4

/** Per value, for the marks around it. */
const OVERHEAD = 1

/**
 * Counts the texts of a request body, rather too high than too low: four characters of ASCII are a token, and so is
 * every other character.
 */
export function estimateTokens(body: unknown): number {
  return Math.max(1, Math.ceil(count(body, 0)))
}

function count(value: unknown, depth: number): number {
  if (depth > 1_000) return 0
  if (typeof value === 'string') return ofText(value)
  if (Array.isArray(value)) {
    return value.reduce<number>((sum, item) => sum + count(item, depth + 1), 0)
  }
  if (typeof value !== 'object' || value === null) return OVERHEAD
  return Object.entries(value).reduce(
    (sum, [key, item]) =>
      isAttachment(key, item)
        ? sum + ATTACHMENT_TOKENS
        : sum + key.length / CHARACTERS + count(item, depth + 1),
    OVERHEAD,
  )
}

function isAttachment(key: string, value: unknown): boolean {
  if (typeof value !== 'string') return false
  return (
    /^(?:data|file_data|image_url|url)$/.test(key) && (value.startsWith('data:') || value.length > 10_000)
  )
}

function ofText(text: string): number {
  let other = 0
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x7f) other += 1
  return (text.length - other) / CHARACTERS + other + OVERHEAD
}
