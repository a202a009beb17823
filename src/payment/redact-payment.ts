/**
 * Takes a payment out of the answer to it. A signature that was not used yet is money (rule 8), and a seller that sends it
 * back would have us hand it to a client.
 */
import { Readable } from 'node:stream'
import type { Reply } from '../core/request/exchange.ts'
import { decodeBase64Json } from '../core/x402/wire-json.ts'
import type { IncomingReply } from '../io/transport/upstream.ts'
import { property } from '../core/property.ts'

/** Shorter texts are no signatures, and might stand in any answer. */
const MIN_LENGTH = 64

const STAR = 0x2a

/** The texts that are money: the header's value, and the signature in it. */
export function paymentSecrets(header: string): readonly string[] {
  const signature = property(property(decodeBase64Json(header), 'payload'), 'signature')
  const inside = typeof signature === 'string' ? [signature, ...spellingsOf(signature)] : []
  const headers = [header.replace(/=+$/, ''), urlSafe(header)]
  return [...new Set([header, ...headers, ...inside])].filter((text) => text.length >= MIN_LENGTH)
}

/** The spellings in which programs write the bytes of a hex signature: whoever reads one can pay with it. */
function spellingsOf(signature: string): readonly string[] {
  const hex = signature.replace(/^0x/i, '')
  if (!/^(?:[0-9a-f]{2})+$/i.test(hex)) return [hex]
  const base64 = Buffer.from(hex, 'hex').toString('base64')
  return [hex, hex.toLowerCase(), hex.toUpperCase(), base64.replace(/=+$/, ''), urlSafe(base64)]
}

function urlSafe(base64: string): string {
  return base64.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

/** The reply without these texts: headers that hold one are dropped, in the body its bytes become stars, so lengths stay. */
export function redactReply(reply: IncomingReply, secrets: readonly string[]): Omit<Reply, 'kind'> {
  const headers = Object.entries(reply.headers).filter(([, value]) => {
    const text = typeof value === 'string' ? value : value.join('\n')
    return !secrets.some((secret) => text.includes(secret))
  })
  return { ...reply, headers: Object.fromEntries(headers), body: redactBody(reply.body, secrets) }
}

/** The body without these texts. At most the beginning of one is held back until more comes. */
export function redactBody(body: Reply['body'], secrets: readonly string[]): Reply['body'] {
  if (body instanceof Readable) body.on('error', () => {})
  return {
    async *[Symbol.asyncIterator]() {
      const scrub = new Scrubber(secrets)
      for await (const chunk of body) {
        const clean = scrub.push(chunk)
        if (clean.length > 0) yield clean
      }
      const rest = scrub.flush()
      if (rest.length > 0) yield rest
    },
    destroy: (error) => body.destroy(error),
  }
}

class Scrubber {
  readonly #secrets: readonly Buffer[]
  #held = Buffer.alloc(0)

  constructor(secrets: readonly string[]) {
    this.#secrets = secrets.map((secret) => Buffer.from(secret, 'latin1'))
  }

  push(chunk: Uint8Array): Buffer {
    const bytes = Buffer.concat([this.#held, chunk])
    for (const secret of this.#secrets) {
      for (let at = bytes.indexOf(secret); at !== -1; at = bytes.indexOf(secret, at + secret.length)) {
        bytes.fill(STAR, at, at + secret.length)
      }
    }
    const held = Math.max(0, ...this.#secrets.map((secret) => beginningAtEnd(bytes, secret)))
    this.#held = Buffer.from(bytes.subarray(bytes.length - held))
    return bytes.subarray(0, bytes.length - held)
  }

  flush(): Buffer {
    return this.#held
  }
}

/** How many of the last bytes are the beginning of the secret; never all of it. */
function beginningAtEnd(bytes: Buffer, secret: Buffer): number {
  const first = secret[0] ?? 0
  let at = bytes.indexOf(first, Math.max(0, bytes.length - secret.length + 1))
  while (at !== -1) {
    const length = bytes.length - at
    if (bytes.compare(secret, 0, length, at) === 0) return length
    at = bytes.indexOf(first, at + 1)
  }
  return 0
}
