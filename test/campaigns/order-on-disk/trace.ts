/** Reads what `strace -f -yy -xx` wrote: which system call of which thread began and ended when, on what, with which bytes. */

/** A call that wrote bytes or asked for a sync. */
export interface SystemCall {
  readonly name: string
  /** What the descriptor was: a path, or both ends of a socket. */
  readonly target: string
  /** Line of the trace at which the call began, from 0: lines are written in the order things happened. */
  readonly begun: number
  /** Line at which it had ended. */
  readonly ended: number
  /** What it returned: bytes written, or 0 for a sync that succeeded; negative when it failed. */
  readonly result: number
  /** The bytes that were given to it, as far as it took them. */
  readonly bytes: Buffer
}

/** The calls a trace must hold. */
export const TRACED_CALLS = [
  'write',
  'writev',
  'pwrite64',
  'pwritev',
  'sendto',
  'sendmsg',
  'fsync',
  'fdatasync',
] as const

const LINE = /^(\d+) +(?:\d+\.\d+ +)?(.*)$/
const BEGINS = /^(\w+)\((\d+)<(.*)$/s
const RESUMED = /^<\.\.\. (\w+) resumed>(.*)$/s
const UNFINISHED = ' <unfinished ...>'

/**
 * Parses a trace. Calls that never ended (the process did) are left out: what they wrote is proven by nobody.
 * @throws Error for a line that cannot be read, or bytes that strace cut off: the trace proves nothing then
 */
export function parseTrace(lines: Iterable<string>): SystemCall[] {
  const open = new Map<string, { begun: number; text: string }>()
  const calls: SystemCall[] = []
  let index = -1
  for (const line of lines) {
    index += 1
    const [, thread = '', text = ''] = LINE.exec(line) ?? []
    if (thread === '' || text.startsWith('+++') || text.startsWith('---')) continue
    const resumed = RESUMED.exec(text)
    if (resumed) {
      const first = open.get(thread)
      open.delete(thread)
      // The beginning lies before the trace did.
      if (!first) continue
      add(calls, first.begun, index, first.text + (resumed[2] ?? ''))
    } else if (text.endsWith(UNFINISHED)) {
      open.set(thread, { begun: index, text: text.slice(0, -UNFINISHED.length) })
    } else {
      add(calls, index, index, text)
    }
  }
  return calls.toSorted((a, b) => a.ended - b.ended)
}

function add(calls: SystemCall[], begun: number, ended: number, text: string): void {
  const [, name = '', , rest = ''] = BEGINS.exec(text) ?? []
  if (!TRACED_CALLS.some((traced) => traced === name)) return
  const target = targetOf(rest)
  const result = Number(/\) += (-?\d+)(?: .*)?$/s.exec(rest)?.[1] ?? Number.NaN)
  if (!Number.isInteger(result)) {
    // `= ?`: the process ended in the middle of it.
    if (/\) += \?/.test(rest)) return
    throw new Error(`a line of the trace has no result: ${text.slice(0, 200)}`)
  }
  const strings = [...rest.slice(target.length).matchAll(/"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?/g)]
  if (result > 0 && strings.some(([, , cut]) => cut !== undefined)) {
    throw new Error(`strace cut bytes off; give it a larger -s: ${text.slice(0, 200)}`)
  }
  const bytes = Buffer.concat(strings.map(([, hex = '']) => Buffer.from(hex.replaceAll('\\x', ''), 'hex')))
  calls.push({ name, target, begun, ended, result, bytes: bytes.subarray(0, Math.max(0, result)) })
}

/** The text between the outermost angle brackets: sockets hold `->` within theirs. */
function targetOf(rest: string): string {
  const socket = /^\w+:\[[^\]]*\]/.exec(rest)
  if (socket) return socket[0]
  const end = rest.indexOf('>')
  if (end < 0) throw new Error(`a descriptor has no name: ${rest.slice(0, 100)}`)
  return unescapePath(rest.slice(0, end))
}

/** With -xx strace writes paths in hex too. */
function unescapePath(text: string): string {
  return /^(?:\\x[0-9a-f]{2})+$/.test(text)
    ? Buffer.from(text.replaceAll('\\x', ''), 'hex').toString('utf8')
    : text
}
