/** Tags: what a client says a request is for, read from headers. They are the subjects of budgets with `per: tag`. */
import { z } from 'zod'
import { OTHER_SUBJECT } from './scope.ts'
import { TAG_NAME } from './tag-name.ts'

/** Request headers by lower-case name, as Node gives them. */
type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

/** Which tags are recognised. */
export interface TagOptions {
  /** The header that carries them, comma-separated; its name in lower case. */
  readonly header: string
  /** The exact tags that budgets distinguish; everything else is `other`. At most 100. */
  readonly declared: readonly string[]
  /**
   * Kinds of tags that need no declaration: with `session`, every `session:<id>` is a tag of its own. At most 10; none by
   * default.
   */
  readonly open?: readonly string[] | undefined
}

/** A header name in lower case (RFC 9110). */
export const HEADER_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/

/** The most tags that may be declared: each is a metric label. */
export const MAX_DECLARED_TAGS = 100

/** The syntax of a tag. */
export const TAG = /^[A-Za-z0-9:._-]{1,64}$/

/** The most tags of one request; any beyond them count as `other`. */
const MAX_TAGS = 10

/** The most kinds of tags that may be open. */
export const MAX_OPEN_TAGS = 10

/** The headers in which OpenClaw names the agent and the session. */
const OPENCLAW: Readonly<Record<string, string>> = {
  'x-clawrouter-agent-id': 'agent',
  'x-clawrouter-session-id': 'session',
}

/** Further headers that name one, by client; read only where that kind is open. */
const CLIENTS: Readonly<Record<string, string>> = {
  'x-clawrouter-parent-agent-id': 'parent-agent',
  'x-clawrouter-project-id': 'project',
  'x-claude-code-session-id': 'session',
  'session-id': 'session',
}

/** The option `tags` of a middleware; by default no tag is declared. */
export const tagOptions = z
  .strictObject({
    header: z.string().regex(HEADER_NAME, 'give a header name in lower case'),
    declared: z
      .array(z.string().regex(TAG, 'a tag is 1 to 64 letters, digits or the characters : . _ and -'))
      .max(MAX_DECLARED_TAGS),
    open: z
      .array(
        z.string().regex(TAG_NAME, 'a kind of tags is 1 to 64 letters, digits or the characters . _ and -'),
      )
      .max(MAX_OPEN_TAGS)
      .optional(),
  })
  .prefault({ header: 'x-tollway-tags', declared: [] })

/**
 * The subjects of a request: its declared and open tags, and one `other` for all tags that are neither, malformed or too many.
 * A request without tags is `other` too, so that omitting tags does not evade budgets per tag.
 */
export function tagsOf(headers: RequestHeaders, { header, declared, open = [] }: TagOptions): string[] {
  const named = textOf(headers[header])
    .split(',')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '')
  const own = idsIn(headers, OPENCLAW)
  // The client's own headers come first, so that a long list cannot crowd them out.
  const known = [...own, ...clientTags(headers, own, open)]
  const tags = [...known, ...named].map((tag, index) =>
    index < MAX_TAGS && (declared.includes(tag) || isOpen(tag, open)) ? tag : OTHER_SUBJECT,
  )
  return tags.length === 0 ? [OTHER_SUBJECT] : [...new Set(tags)]
}

/** One of each open kind that no earlier header named. */
function clientTags(headers: RequestHeaders, own: readonly string[], open: readonly string[]): string[] {
  const kinds = new Set(own.map(kindOf))
  return idsIn(headers, CLIENTS).filter((tag) => {
    const kind = kindOf(tag)
    if (kinds.has(kind) || !open.includes(kind)) return false
    kinds.add(kind)
    return true
  })
}

function idsIn(headers: RequestHeaders, kinds: Readonly<Record<string, string>>): string[] {
  return Object.entries(kinds).flatMap(([name, kind]) => {
    const id = textOf(headers[name]).trim()
    return id === '' ? [] : [`${kind}:${id}`]
  })
}

function isOpen(tag: string, open: readonly string[]): boolean {
  return TAG.test(tag) && tag.length > kindOf(tag).length + 1 && open.includes(kindOf(tag))
}

/** What stands before the first colon; the whole tag without one. */
function kindOf(tag: string): string {
  const colon = tag.indexOf(':')
  return colon < 0 ? tag : tag.slice(0, colon)
}

function textOf(value: string | readonly string[] | undefined): string {
  return typeof value === 'string' ? value : (value?.join(',') ?? '')
}
