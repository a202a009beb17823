/** Finds a text field of a multipart/form-data body in its raw bytes (RFC 7578), so that it can be replaced without touching the rest. */

/** The position of a field's value: byte offsets, end exclusive. */
export interface FieldSpan {
  readonly start: number
  readonly end: number
}

const MAX_BOUNDARY = 70
const MAX_HEADER_BYTES = 16_384

/**
 * Finds the only part with this name that is not a file.
 * @returns `undefined` when there is none or more than one, or when the form is malformed
 */
export function findFormField(body: Buffer, contentType: string, name: string): FieldSpan | undefined {
  const boundary = boundaryOf(contentType)
  if (boundary === undefined) return undefined
  const delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1')
  const found: FieldSpan[] = []
  // The first delimiter may start the body, without a line break before it.
  let at = body.subarray(0, delimiter.length - 2).equals(delimiter.subarray(2))
    ? delimiter.length - 2
    : after(body.indexOf(delimiter), delimiter)
  for (;;) {
    if (at === undefined) return undefined
    const mark = body.toString('latin1', at, at + 2)
    if (mark === '--') return found.length === 1 ? found[0] : undefined
    if (mark !== '\r\n') return undefined
    const headEnd = body.indexOf('\r\n\r\n', at)
    const next = body.indexOf(delimiter, at + 2)
    if (headEnd < 0 || next < headEnd || headEnd - at > MAX_HEADER_BYTES) return undefined
    const head = body.toString('latin1', at + 2, headEnd)
    if (nameOf(head) === name) found.push({ start: headEnd + 4, end: next })
    at = after(next, delimiter)
  }
}

function after(offset: number, delimiter: Buffer): number | undefined {
  return offset < 0 ? undefined : offset + delimiter.length
}

function boundaryOf(contentType: string): string | undefined {
  const match = /;\s*boundary=(?:"([^"\\]+)"|([^\s;"]+))\s*(?:;|$)/i.exec(contentType)
  const boundary = match?.[1] ?? match?.[2]
  return boundary !== undefined && boundary.length <= MAX_BOUNDARY ? boundary : undefined
}

/** The field's name; `undefined` for a file, or for a name with unusual quoting. */
function nameOf(head: string): string | undefined {
  const lines = head.split('\r\n').filter((line) => /^content-disposition\s*:/i.test(line))
  const [line] = lines
  if (lines.length !== 1 || line === undefined || /;\s*filename\*?\s*=/i.test(line)) return undefined
  const match = /;\s*name=(?:"([^"\\]*)"|([^\s;"]+))\s*(?:;|$)/i.exec(line)
  return match?.[1] ?? match?.[2]
}
