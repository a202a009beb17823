/**
 * Lets servers say `100 Continue` although nobody asked for it (RFC 9110, 15.2.1: a client may discard it). undici takes one for a
 * broken answer and closes the connection, which leaves a payment uncertain.
 */
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

/** Words of no interim answer are longer, bytes. */
const MAX_INTERIM_BYTES = 8192

const BEGINNING = Buffer.from('HTTP/1.1 100')
const END = Buffer.from('\r\n\r\n')

/**
 * Takes interim answers of status 100 out of what is read of an HTTP/1.1 connection. They can only stand before an answer, so
 * only the bytes that follow a request are looked at, never those of a body.
 */
export function skipContinue(socket: Socket): Socket {
  if (socket instanceof TLSSocket && socket.alpnProtocol === 'h2') return socket
  const read = socket.read.bind(socket)
  const write = socket.write.bind(socket)
  let isExpecting = true
  let kept: Buffer | undefined
  const next = (size?: number): Buffer | null => {
    const chunk: unknown = read(size)
    if (!Buffer.isBuffer(chunk)) return null
    if (!isExpecting) return chunk
    const text = kept ? Buffer.concat([kept, chunk]) : chunk
    kept = undefined
    const found = withoutContinue(text)
    if (found === 'undecided') {
      kept = text
      return next()
    }
    if (found.length > 0) isExpecting = false
    return found.length > 0 ? found : next()
  }
  socket.read = next
  // Nothing is written while an answer arrives: there is no pipelining, and a request is written as a whole.
  socket.write = new Proxy(write, {
    apply(target, self, args): unknown {
      isExpecting = true
      return Reflect.apply(target, self, args)
    },
  })
  return socket
}

/** The bytes behind all interim answers of status 100; `undecided` while the end of one has not come. */
function withoutContinue(bytes: Buffer): Buffer | 'undecided' {
  let rest = bytes
  for (;;) {
    const length = Math.min(rest.length, BEGINNING.length)
    if (!isBeginning(rest.subarray(0, length))) return rest
    if (length < BEGINNING.length) return rest.length === 0 ? rest : 'undecided'
    const end = rest.indexOf(END)
    if (end === -1) return rest.length > MAX_INTERIM_BYTES ? rest : 'undecided'
    rest = rest.subarray(end + END.length)
  }
}

/** HTTP/1.0 and 1.1 alike. */
function isBeginning(bytes: Buffer): boolean {
  return bytes.every((byte, at) => byte === BEGINNING[at] || (at === 7 && byte === 0x30))
}
