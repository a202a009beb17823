/** Writes JSON in steps: `JSON.stringify` of tens of megabytes would hold up the only thread for as long as it takes. */

/** JSON text as the value of a text, e.g. a tool's arguments: written in steps like everything around it. */
export class EmbeddedJson {
  readonly #value: unknown

  constructor(value: unknown) {
    this.#value = value
  }

  get value(): unknown {
    return this.#value
  }

  toJSON(): string {
    return JSON.stringify(this.#value)
  }
}

/** Characters of a step; a text's escapes may make it six times as long. */
const STEP_LENGTH = 65_536

/** A list or object that is being written. */
interface Level {
  readonly members: Iterator<readonly [name: string | undefined, value: unknown]>
  readonly close: string
  isEmpty: boolean
}

/**
 * What `JSON.stringify` would give, in pieces.
 * @param value parsed JSON, with {@link EmbeddedJson} and `undefined` members in it
 */
export function* writeInSteps(value: unknown): Generator<string, void, undefined> {
  const open: Level[] = []
  let text = ''
  let current: unknown = value
  for (;;) {
    if (typeof current === 'string' && current.length > STEP_LENGTH) {
      yield text
      yield* longText(current)
      text = ''
    } else if (current instanceof EmbeddedJson) {
      yield `${text}"`
      for (const piece of writeInSteps(current.value)) yield escaped(piece)
      text = '"'
    } else if (typeof current === 'object' && current !== null) {
      const isList = Array.isArray(current)
      text += isList ? '[' : '{'
      open.push({ members: membersOf(current), close: isList ? ']' : '}', isEmpty: true })
    } else text += JSON.stringify(current) ?? 'null'
    for (;;) {
      if (text.length >= STEP_LENGTH) {
        yield text
        text = ''
      }
      const level = open.at(-1)
      if (!level) {
        yield text
        return
      }
      const member = level.members.next()
      if (member.done !== true) {
        const [name, inner] = member.value
        if (!level.isEmpty) text += ','
        level.isEmpty = false
        if (name !== undefined && name.length > STEP_LENGTH) {
          yield text
          yield* longText(name)
          text = ':'
        } else if (name !== undefined) text += `${JSON.stringify(name)}:`
        current = inner
        break
      }
      text += level.close
      open.pop()
    }
  }
}

/** Whether a value written as JSON has at most so many characters; reads no more of it than that. */
export function isWrittenIn(value: unknown, length: number): boolean {
  let left = length
  for (const piece of writeInSteps(value)) {
    left -= piece.length
    if (left < 0) return false
  }
  return true
}

function* membersOf(
  value: object,
): Generator<readonly [name: string | undefined, value: unknown], void, undefined> {
  if (Array.isArray(value)) for (const item of value) yield [undefined, item]
  else for (const [name, item] of Object.entries(value)) if (item !== undefined) yield [name, item]
}

function* longText(text: string): Generator<string, void, undefined> {
  yield '"'
  for (let at = 0; at < text.length;) {
    let end = at + STEP_LENGTH
    // Two halves of a character apart would each be written as an escape.
    if (isFirstHalf(text.charCodeAt(end - 1))) end += 1
    yield escaped(text.slice(at, end))
    at = end
  }
  yield '"'
}

function escaped(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}

function isFirstHalf(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff
}
