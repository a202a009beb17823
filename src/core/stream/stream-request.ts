/** Changes a request for a stream in its raw bytes; every other byte stays as it was. */
import { replaceMember, scanTopLevel, type Member } from '../json/json-scan.ts'
import { parseJson } from './stream-json.ts'

/** Whether a JSON body asks for the usage chunk itself: `stream_options.include_usage: true`. */
export function asksForUsage(body: Uint8Array): boolean {
  const options = find(body, 'stream_options')
  return options !== undefined && parseJson(textOf(body, options))?.['include_usage'] === true
}

/** The body with `stream_options.include_usage: true`. */
export function withUsage(body: Buffer): Buffer {
  const options = find(body, 'stream_options')
  if (!options) return withMember(body, '"stream_options":{"include_usage":true}')
  const inner = body.subarray(options.valueStart, options.valueEnd)
  const known = find(inner, 'include_usage')
  if (known) return replaceMember(body, options, replaceMember(inner, known, 'true').toString('utf8'))
  // `null`, or something that no API takes: the seller will say so of an object that it does not take either.
  const isObject = scanTopLevel(inner) !== undefined
  const value = isObject
    ? withMember(inner, '"include_usage":true').toString('utf8')
    : '{"include_usage":true}'
  return replaceMember(body, options, value)
}

/** The body with `stream: true`. */
export function withStream(body: Buffer): Buffer {
  const stream = find(body, 'stream')
  return stream ? replaceMember(body, stream, 'true') : withMember(body, '"stream":true')
}

/** Puts a member behind the last; an object that is not understood stays as it is. */
function withMember(body: Buffer, text: string): Buffer {
  const members = scanTopLevel(body)
  if (!members) return body
  const last = members.at(-1)
  const at = last ? last.valueEnd : body.indexOf('{') + 1
  return Buffer.concat([body.subarray(0, at), Buffer.from(last ? `,${text}` : text), body.subarray(at)])
}

/** The last of them counts, as for `JSON.parse`. */
function find(body: Uint8Array, name: string): Member | undefined {
  return scanTopLevel(body)?.findLast(({ key }) => key === name)
}

function textOf(body: Uint8Array, { valueStart, valueEnd }: Member): string {
  return Buffer.from(body.buffer, body.byteOffset + valueStart, valueEnd - valueStart).toString('utf8')
}
