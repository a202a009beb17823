/**
 * Holds the start of a stream until there is something to deliver, so that an earlier failure can have its own
 * status.
 */
import type { SseRelay } from '../../src/core/relay/sse-relay.ts'
import type { RelaySession } from './relay-session.ts'

/** A longer start is sent: no protocol has one. */
const MAX_HELD_BYTES = 1_048_576

/** Buffers the stream between the relay and the client until the answer begins. */
export class HeldStart {
  readonly #session: RelaySession
  readonly #relay: SseRelay
  #held: Buffer[] = []
  #heldBytes = 0

  constructor(session: RelaySession, relay: SseRelay) {
    this.#session = session
    this.#relay = relay
  }

  /** @returns the bytes to send now: none, or everything so far */
  pass(bytes: Buffer): Buffer {
    if (this.#session.opened && this.#held.length === 0) return bytes
    this.#held.push(bytes)
    this.#heldBytes += bytes.length
    const waits = this.#session.reply.kind === 'paid' && !this.#session.opened && !this.#relay.hasContent
    return waits && this.#heldBytes <= MAX_HELD_BYTES ? NOTHING : this.open()
  }

  /** Opens the stream. @returns the held bytes */
  open(): Buffer {
    this.#session.openStream()
    this.#heldBytes = 0
    return Buffer.concat(this.#held.splice(0))
  }
}

const NOTHING = Buffer.alloc(0)
