/**
 * Interim responses (1xx) of an HTTP/1.1 server: legal at any time before the answer (RFC 9110, 15.2) and without meaning for us.
 * undici takes an unasked `100 Continue` for a broken server and lets every other one begin its time limit anew.
 */
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

const START = 'HTTP/1.1 1'
/** Length of a status line up to the character behind its status. */
const STATUS_LENGTH = START.length + 3
const END_OF_HEAD = '\r\n\r\n'
/** Longest interim response; a longer one passes, and undici refuses it. */
const MAX_BYTES = 131_072
const NOTHING: Buffer = Buffer.alloc(0)

/**
 * Takes the interim responses out of what is read from a connection, except `101`, after which no answer follows. A connection
 * that speaks HTTP/2 is left as it is.
 */
export function withoutInterimResponses(socket: Socket): Socket {
  if (socket instanceof TLSSocket && socket.alpnProtocol === 'h2') return socket
  const read = socket.read.bind(socket)
  const write = socket.write.bind(socket)
  let awaitsHead = true
  let held = NOTHING
  // A request is written in whole before its answer is read, and one at a time: after a write a head follows.
  socket.write = (...args: readonly unknown[]): boolean => {
    awaitsHead = true
    return Reflect.apply(write, undefined, args) === true
  }
  socket.read = (size?: number): Buffer | null => {
    for (;;) {
      const chunk: unknown = read(size)
      if (!(chunk instanceof Buffer)) return null
      if (!awaitsHead) return chunk
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
      for (let end = interimEnd(held); end !== 'none'; end = interimEnd(held)) {
        if (end === 'unknown') break
        held = held.subarray(end)
      }
      if (held.length <= MAX_BYTES && interimEnd(held) === 'unknown') continue
      awaitsHead = false
      const rest = held
      held = NOTHING
      return rest
    }
  }
  return socket
}

/** Where an interim response at the start of these bytes ends; `none` if there is none, `unknown` if that takes more bytes. */
function interimEnd(bytes: Buffer): number | 'none' | 'unknown' {
  const start = bytes.toString('latin1', 0, STATUS_LENGTH)
  if (!START.startsWith(start.slice(0, START.length).replace('HTTP/1.0', 'HTTP/1.1'))) return 'none'
  if (start.length < STATUS_LENGTH) return 'unknown'
  if (!/ 1(?!01)\d\d[ \r]$/.test(start)) return 'none'
  const end = bytes.indexOf(END_OF_HEAD, 0, 'latin1')
  return end === -1 ? 'unknown' : end + END_OF_HEAD.length
}
