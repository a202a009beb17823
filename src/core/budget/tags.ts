/** Tags: what a client says a request is for, read from headers. They are the subjects of budgets with `per: tag`. */
import { z } from 'zod'
import { OTHER_TAG } from './budget.ts'

/** Request headers by lower-case name, as Node gives them. */
type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

/** Which tags are recognised. */
export interface TagOptions {
  /** The header that carries them, comma-separated; its name in lower case. */
  readonly header: string
  /** The exact tags that budgets distinguish; everything else is `other`. At most 100. */
  readonly declared: readonly string[]
}

/** A header name in lower case (RFC 9110). */
export const HEADER_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/

/** The most tags that may be declared: each is a metric label. */
export const MAX_DECLARED_TAGS = 100

/** The syntax of a tag. */
export const TAG = /^[A-Za-z0-9:._-]{1,64}$/

/** The most tags of one request; any beyond them count as `other`. */
const MAX_TAGS = 10

/** The headers in which OpenClaw names the agent and the session. */
const OPENCLAW: Readonly<Record<string, string>> = {
  'x-clawrouter-agent-id': 'agent',
  'x-clawrouter-session-id': 'session',
}

/** The option `tags` of a middleware; by default no tag is declared. */
export const tagOptions = z
  .strictObject({
    header: z.string().regex(HEADER_NAME, 'give a header name in lower case'),
    declared: z
      .array(z.string().regex(TAG, 'a tag is 1 to 64 letters, digits or the characters : . _ and -'))
      .max(MAX_DECLARED_TAGS),
  })
  .prefault({ header: 'x-tollway-tags', declared: [] })

/**
 * The subjects of a request: its declared tags, and one `other` for all tags that are undeclared, malformed or too many.
 * A request without tags is `other` too, so that omitting tags does not evade budgets per tag.
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
  // OpenClaw's two come first, so that a long list cannot crowd them out.
  const tags = [...openclaw, ...named].map((tag, index) =>
    index < MAX_TAGS && declared.includes(tag) ? tag : OTHER_TAG,
  )
  return tags.length === 0 ? [OTHER_TAG] : [...new Set(tags)]
}

function textOf(value: string | readonly string[] | undefined): string {
  return typeof value === 'string' ? value : (value?.join(',') ?? '')
}
