/** Changes a request for a stream in its raw bytes; every other byte stays as it was. */
import { replaceMember, scanTopLevel, type Member } from '../json/json-scan.ts'
import { parseJson } from './stream-json.ts'

/** The top-level members of a body, scanned before; `undefined` for one that is no JSON object. */
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
  // `null`, or something that no API takes: the seller will say so of an object that it does not take either.
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

/** Puts a member behind the last; an object that is not understood stays as it is. */
function withMember(body: Buffer, members: Members, text: string): Buffer {
  if (!members) return body
  const last = members.at(-1)
  const at = last ? last.valueEnd : body.indexOf('{') + 1
  return Buffer.concat([body.subarray(0, at), Buffer.from(last ? `,${text}` : text), body.subarray(at)])
}

/** The last of them counts, as for `JSON.parse`. */
function find(members: Members, name: string): Member | undefined {
  return members?.findLast(({ key }) => key === name)
}

function textOf(body: Uint8Array, { valueStart, valueEnd }: Member): string {
  return Buffer.from(body.buffer, body.byteOffset + valueStart, valueEnd - valueStart).toString('utf8')
}
