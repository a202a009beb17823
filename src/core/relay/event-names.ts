/** The `event:` lines of Anthropic's streams: its SDKs read no event whose name is missing or wrong, whatever its data says. */

/** The `event:` line of one event after another. */
export class EventNames {
  #line: Buffer | undefined
  /** The name that was sent with the current event. */
  #sent: string | undefined

  /** Takes a line, if it is one, until {@link EventNames.take}. @returns whether it is one */
  keep(line: Buffer, end: Buffer): boolean {
    if (!NAME.test(line.toString('latin1', 0, 16))) return false
    this.#line = Buffer.concat([line, end.length > 0 ? end : LINE_END])
    return true
  }

  /** Takes the LF whose CR ended the line in an earlier chunk. @returns whether it was one */
  keepLineFeed(): boolean {
    if (this.#line?.at(-1) !== CR) return false
    this.#line = Buffer.concat([this.#line, LINE_END])
    return true
  }

  /**
   * The line to send with the current event: its own, or a better one. A later line of an event replaces an earlier one.
   * @param type what the event is by its data; `undefined` when that is not known (yet)
   */
  take(type: string | undefined): Buffer {
    const line = this.#line
    this.#line = undefined
    const name = line && nameIn(line)
    if (this.#sent === undefined && line && (type === undefined || name === type)) {
      this.#sent = name
      return line
    }
    if (type === undefined || this.#sent === type) return NOTHING
    this.#sent = type
    return Buffer.from(`event: ${type}\n`)
  }

  /** The event has ended. */
  reset(): void {
    this.#line = undefined
    this.#sent = undefined
  }
}

/** The type in the first bytes of an event's data, which are all that is held of a long one. */
export function typeAtStart(data: Buffer): string | undefined {
  return TYPE.exec(data.toString('latin1', 0, 128))?.[1]
}

const NAME = /^(?:\u00ef\u00bb\u00bf)?event(?::|$)/
const TYPE = /^\s*\{\s*"type"\s*:\s*"([a-z_.]+)"/
const CR = 0x0d
const LINE_END = Buffer.from('\n')
const NOTHING = Buffer.alloc(0)

function nameIn(line: Buffer): string {
  return line
    .toString('utf8')
    .replace(/^\ufeff?event:? ?/, '')
    .trimEnd()
}
