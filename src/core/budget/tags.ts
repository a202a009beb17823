/** Who or what a client says a request is for: subjects of the budgets per tag, taken from headers. */
import { z } from 'zod'
import { OTHER_TAG } from './budget.ts'

/** Request headers by lower-case name, as Node gives them. */
type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

/** Which tags count. */
export interface TagOptions {
  /** The header that carries them, comma separated; lower case. */
  readonly header: string
  /** The exact tags that budgets distinguish; everything else is `other`. At most 100. */
  readonly declared: readonly string[]
}

/** What the name of a header looks like, in lower case (RFC 9110). */
export const HEADER_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/

/** The most tags that may be declared: each is a metric label. */
export const MAX_DECLARED_TAGS = 100

/** What a tag looks like. */
export const TAG = /^[A-Za-z0-9:._-]{1,64}$/

/** Tags that one request may carry; further ones count as `other`. */
const MAX_TAGS = 10

/** Where OpenClaw says which agent and which session asks. */
const OPENCLAW: Readonly<Record<string, string>> = {
  'x-clawrouter-agent-id': 'agent',
  'x-clawrouter-session-id': 'session',
}

/** Checks the option `tags` of a middleware; without one nothing is declared. */
export const tagOptions = z
  .strictObject({
    header: z.string().regex(HEADER_NAME, 'give the name of a header, in lower case'),
    declared: z
      .array(z.string().regex(TAG, 'a tag is 1 to 64 letters, digits or the characters : . _ and -'))
      .max(MAX_DECLARED_TAGS),
  })
  .prefault({ header: 'x-tollway-tags', declared: [] })

/**
 * The subjects of a request: its declared tags, and `other` once for all that are not declared, malformed or too many.
 * A request without tags is `other` too, so that none gets around the budgets per tag by saying nothing.
 */
export function tagsOf(headers: RequestHeaders, { header, declared }: TagOptions): string[] {
  const named = textOf(headers[header])
    .split(',')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '')
  const openclaw = Object.entries(OPENCLAW).flatMap(([name, kind]) => {
    const id = textOf(headers[name]).trim()
    return id === '' ? [] : [`${kind}:${id}`]
  })
  // OpenClaw's two come first, so that a long list cannot push them out.
  const tags = [...openclaw, ...named].map((tag, index) =>
    index < MAX_TAGS && declared.includes(tag) ? tag : OTHER_TAG,
  )
  return tags.length === 0 ? [OTHER_TAG] : [...new Set(tags)]
}

function textOf(value: string | readonly string[] | undefined): string {
  return typeof value === 'string' ? value : (value?.join(',') ?? '')
}
