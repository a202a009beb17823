/** Reads the usage of an answer that a handler of the host writes, without changing a byte of it. */
import type { ServerResponse } from 'node:http'
import type { Exchange } from '../../src/core/request/exchange.ts'
import { contentCoding } from '../../src/io/transport/content-coding.ts'
import { usageTap, type UsageTap } from '../http/usage-tap.ts'
import type { Usage } from '../../src/core/stream/usage.ts'

/** What was read of the answer. */
export interface AnswerTap {
  /** The usage that a whole answer reports; `undefined` for a stream without its end. Await {@link AnswerTap.read} before. */
  readonly usage: Usage | undefined
  /** Resolves when everything that was written is read: compressed answers take a moment. */
  read(): Promise<void>
}

/** Watches the bytes of a response. Call it before the answer begins. */
export function tapAnswer(res: ServerResponse, { relay }: Exchange): AnswerTap {
  let tap: UsageTap | undefined
  let coding = ''
  const given: Record<string, string | readonly string[]> = {}
  const write = res.write.bind(res)
  const end = res.end.bind(res)
  const writeHead = res.writeHead.bind(res)

  const push = (chunk: unknown, encoding: unknown): void => {
    const bytes = bytesOf(chunk, encoding)
    if (!bytes || bytes.length === 0) return
    if (!tap) {
      const headers = { ...plainHeaders(res.getHeaders()), ...given }
      coding = contentCoding(headers)
      tap = usageTap(headers)
    }
    void tap.push(bytes)
  }
  const found = (): Usage | undefined => (tap?.complete === true ? tap.usage : undefined)
  // Noted before the answer ends, when records are written.
  const noteEnd = (): void => {
    if (relay.usage !== undefined || !tap) return
    if (coding === '') relay.usage = found()
    else {
      const decoded = tap.end().then(() => void (relay.usage ??= found()))
      relay.usageToCome = Promise.all([relay.usageToCome, decoded]).then(() => undefined)
    }
  }
  Object.assign(res, {
    writeHead(...args: unknown[]): unknown {
      Object.assign(given, plainHeaders(args.at(-1)))
      return Reflect.apply(writeHead, undefined, args)
    },
    write(...args: unknown[]): unknown {
      push(args[0], args[1])
      return Reflect.apply(write, undefined, args)
    },
    end(...args: unknown[]): unknown {
      push(args[0], args[1])
      noteEnd()
      return Reflect.apply(end, undefined, args)
    },
  })
  return {
    get usage() {
      return found()
    },
    async read() {
      await tap?.end()
    },
  }
}

function bytesOf(chunk: unknown, encoding: unknown): Uint8Array | undefined {
  if (typeof chunk === 'string') {
    const known = typeof encoding === 'string' && Buffer.isEncoding(encoding) ? encoding : 'utf8'
    return Buffer.from(chunk, known)
  }
  return chunk instanceof Uint8Array ? chunk : undefined
}

/** Headers by lower-case name, of an object or of a flat list; nothing of anything else. */
function plainHeaders(headers: unknown): Record<string, string | readonly string[]> {
  if (typeof headers !== 'object' || headers === null) return {}
  const pairs: [unknown, unknown][] = Array.isArray(headers)
    ? Array.from({ length: headers.length >> 1 }, (_, at) => [headers[2 * at], headers[2 * at + 1]])
    : Object.entries(headers)
  return Object.fromEntries(
    pairs.flatMap(([name, value]) =>
      typeof name === 'string' && (typeof value === 'string' || Array.isArray(value))
        ? [[name.toLowerCase(), value]]
        : [],
    ),
  )
}
