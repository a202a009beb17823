/** Changes the stream options of a request in its raw bytes; every other byte is unchanged. */
import { replaceMember, scanTopLevel, type Member } from '../json/json-scan.ts'
import { parseJson } from './stream-json.ts'

/** The scanned top-level members of a body; `undefined` if it is not a JSON object. */
type Members = readonly Member[] | undefined

/** Whether a JSON body asks for the usage chunk itself: `stream_options.include_usage: true`. */
export function asksForUsage(body: Uint8Array, members: Members = scanTopLevel(body)): boolean {
  const options = find(members, 'stream_options')
  return options !== undefined && parseJson(textOf(body, options))?.['include_usage'] === true
}

/** The body with `stream_options.include_usage: true`. */
export function withUsage(body: Buffer, members: Members = scanTopLevel(body)): Buffer {
  const options = find(members, 'stream_options')
  if (!options) return withMember(body, members, '"stream_options":{"include_usage":true}')
  const inner = body.subarray(options.valueStart, options.valueEnd)
  const innerMembers = scanTopLevel(inner)
  const known = find(innerMembers, 'include_usage')
  if (known) return replaceMember(body, options, replaceMember(inner, known, 'true').toString('utf8'))
  // `null`, or a value that no API accepts; the seller reports an object that it does not accept.
  const value = innerMembers
    ? withMember(inner, innerMembers, '"include_usage":true').toString('utf8')
    : '{"include_usage":true}'
  return replaceMember(body, options, value)
}

/** The body with `stream: true`. */
export function withStream(body: Buffer): Buffer {
  const members = scanTopLevel(body)
  const stream = find(members, 'stream')
  return stream ? replaceMember(body, stream, 'true') : withMember(body, members, '"stream":true')
}

/** The members that limit the output of an answer. */
const LIMITS: ReadonlySet<string> = new Set(['max_tokens', 'max_completion_tokens', 'max_output_tokens'])

/**
 * The body with a limit on output tokens, where it sets none.
 * @param name of the member that the seller reads
 * @returns `undefined` where it sets one, or is no JSON object
 */
export function withLimit(body: Buffer, name: string, tokens: number): Buffer | undefined {
  const members = scanTopLevel(body)
  const isSet = members?.some((one) => LIMITS.has(one.key) && textOf(body, one) !== 'null') ?? true
  if (isSet) return undefined
  const empty = find(members, name)
  return empty
    ? replaceMember(body, empty, String(tokens))
    : withMember(body, members, `${JSON.stringify(name)}:${tokens}`)
}

/** Appends a member; an object that cannot be parsed is left unchanged. */
function withMember(body: Buffer, members: Members, text: string): Buffer {
  if (!members) return body
  const last = members.at(-1)
  const at = last ? last.valueEnd : body.indexOf('{') + 1
  return Buffer.concat([body.subarray(0, at), Buffer.from(last ? `,${text}` : text), body.subarray(at)])
}

/** The last duplicate counts, as for `JSON.parse`. */
function find(members: Members, name: string): Member | undefined {
  return members?.findLast(({ key }) => key === name)
}

function textOf(body: Uint8Array, { valueStart, valueEnd }: Member): string {
  return Buffer.from(body.buffer, body.byteOffset + valueStart, valueEnd - valueStart).toString('utf8')
}
