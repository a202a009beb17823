/** Holds the start of a stream until there is something to deliver, so that what fails before has a status of its own. */
import type { SseRelay } from '../../src/core/stream/sse-relay.ts'
import type { RelaySession } from './relay-session.ts'

/** A start that is longer is sent: no protocol has one. */
const MAX_HELD_BYTES = 1_048_576

/** What stands between the relay and the client until the answer begins. */
export class HeldStart {
  readonly #session: RelaySession
  readonly #relay: SseRelay
  #held: Buffer[] = []
  #heldBytes = 0

  constructor(session: RelaySession, relay: SseRelay) {
    this.#session = session
    this.#relay = relay
  }

  /** @returns what is to be sent now: nothing, or everything so far */
  pass(bytes: Buffer): Buffer {
    if (this.#session.opened && this.#held.length === 0) return bytes
    this.#held.push(bytes)
    this.#heldBytes += bytes.length
    const waits = this.#session.reply.kind === 'paid' && !this.#session.opened && !this.#relay.hasContent
    return waits && this.#heldBytes <= MAX_HELD_BYTES ? NOTHING : this.open()
  }

  /** Opens the stream. @returns what was held */
  open(): Buffer {
    this.#session.openStream()
    this.#heldBytes = 0
    return Buffer.concat(this.#held.splice(0))
  }
}

const NOTHING = Buffer.alloc(0)
