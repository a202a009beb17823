/** What a web page or an XML document says shortly: titles, headlines, and the elements of errors. */

/** The elements that hold such words. */
const ELEMENTS =
  /<(title|h[12]|pre|(?:error)?message|reason|detail|description|faultstring)\b[^>]{0,200}>(.{1,600}?)<\/\1>/gis

/** Titles that say nothing where there are more words. */
const GENERIC = /^(?:error|oops|\d{3})[.!]?$/i

const MAX_WORDS = 3
/** The most of a page that is read, characters: what it says shortly stands at its beginning. */
const MAX_PAGE = 20_000

const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  rsquo: "'",
}

/** @returns each text once, without markup; empty where the page says nothing shortly */
export function pageWords(page: string): readonly string[] {
  const found = [...page.slice(0, MAX_PAGE).matchAll(ELEMENTS)]
    .map(([, , inner = '']) => plain(inner))
    .filter((text) => text !== '')
  const telling = found.filter((text) => !GENERIC.test(text))
  return [...new Set(telling.length > 0 ? telling : found)].slice(0, MAX_WORDS)
}

function plain(markup: string): string {
  return markup
    .replace(/<[^>]*>/g, ' ')
    .replace(/&(?:#(\d{1,6})|#x([\da-f]{1,5})|([a-z]{2,6}));/gi, entity)
    .replace(/\s+/g, ' ')
    .trim()
}

function entity(whole: string, decimal?: string, hex?: string, name?: string): string {
  if (name !== undefined) return ENTITIES[name.toLowerCase()] ?? whole
  const code = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number(decimal)
  return code >= 0x20 && code <= 0x10_ff_ff ? String.fromCodePoint(code) : ' '
}
