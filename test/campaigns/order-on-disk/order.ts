/** Rule 3 read off a trace: for every payment, what was durable when the first byte of its signed request left. */
import type { SystemCall } from './trace.ts'

/** What a trace proves. */
export interface OrderReport {
  /** Signed requests that left. */
  readonly payments: number
  /** Payments whose charge was not durable in the ledger's log, or whose intent was not in the audit file: none may be. */
  readonly violations: string[]
  /** Syncs of each file that made at least one authorized charge durable, and how many each made so. */
  readonly ledger: SyncFigures
  readonly audit: SyncFigures
}

/** How many charges the syncs of a file covered. */
export interface SyncFigures {
  readonly syncs: number
  readonly charges: number
  /** The most that one sync made durable. */
  readonly most: number
}

interface Cover {
  /** Line at which the nonce was durable. */
  readonly durableAt: number
  readonly sync: SystemCall
}

const NONCE = /0x[0-9a-f]{64}/g

/** Checks a trace. `ledger` and `audit` are the paths as the process opened them. */
export function checkOrder(
  calls: readonly SystemCall[],
  files: { readonly ledger: string; readonly audit: string },
): OrderReport {
  const payments = signedRequests(calls)
  const nonces = new Set(payments.map(({ nonce }) => nonce))
  const ledger = covers(calls, [`${files.ledger}-wal`, files.ledger], nonces)
  const audit = covers(calls, [files.audit], nonces)
  const violations = payments.flatMap(({ nonce, leftAt }) =>
    [['ledger', ledger.get(nonce)] as const, ['audit file', audit.get(nonce)] as const].flatMap(
      ([name, cover]) => {
        if (!cover) return [`${nonce}: sent, and never durable in the ${name}`]
        return cover.durableAt < leftAt
          ? []
          : [`${nonce}: sent at line ${leftAt}, durable in the ${name} at line ${cover.durableAt}`]
      },
    ),
  )
  return { payments: payments.length, violations, ledger: figures(ledger), audit: figures(audit) }
}

/** When the first byte of each request with a payment header was given to the system. */
function signedRequests(calls: readonly SystemCall[]): { nonce: string; leftAt: number }[] {
  const streams = new Map<string, SystemCall[]>()
  for (const call of calls) {
    if (!call.target.startsWith('TCP') || call.bytes.length === 0) continue
    streams.set(call.target, [...(streams.get(call.target) ?? []), call])
  }
  return [...streams.values()].flatMap((writes) => {
    const text = Buffer.concat(writes.map(({ bytes }) => bytes)).toString('latin1')
    const found = text.matchAll(/(?:POST|GET) \S+ HTTP\/1\.1\r\n(?:[^\r\n]+\r\n)*/g)
    return [...found].flatMap((match) => {
      const header = /\r\n(?:payment-signature|x-payment): (\S+)/i.exec(match[0])?.[1]
      if (header === undefined) return []
      return [{ nonce: nonceOf(header), leftAt: lineOf(writes, match.index) }]
    })
  })
}

function nonceOf(header: string): string {
  const text = Buffer.from(header, 'base64').toString('utf8')
  const nonce = /"nonce":"(0x[0-9a-fA-F]{64})"/.exec(text)?.[1]
  if (nonce === undefined) throw new Error('a payment header holds no nonce')
  return nonce.toLowerCase()
}

/** The line at which the write that holds a stream's byte began. */
function lineOf(writes: readonly SystemCall[], offset: number): number {
  let end = 0
  for (const write of writes) {
    end += write.bytes.length
    if (offset < end) return write.begun
  }
  throw new RangeError('the stream is shorter than that')
}

/** For each nonce the first sync that began after the nonce had been written, and that succeeded. */
function covers(
  calls: readonly SystemCall[],
  paths: readonly string[],
  nonces: ReadonlySet<string>,
): Map<string, Cover> {
  const own = calls.filter(({ target }) => paths.includes(target))
  const covered = new Map<string, Cover>()
  const written = new Map<string, { at: number; target: string }>()
  for (const call of own) {
    const isSync = call.name === 'fsync' || call.name === 'fdatasync'
    if (isSync && call.result === 0) {
      for (const [nonce, { at, target }] of written) {
        if (target !== call.target || at >= call.begun) continue
        covered.set(nonce, { durableAt: call.ended, sync: call })
        written.delete(nonce)
      }
    } else if (!isSync) {
      for (const [nonce] of call.bytes.toString('latin1').matchAll(NONCE)) {
        if (nonces.has(nonce) && !covered.has(nonce) && !written.has(nonce)) {
          written.set(nonce, { at: call.ended, target: call.target })
        }
      }
    }
  }
  return covered
}

function figures(covered: ReadonlyMap<string, Cover>): SyncFigures {
  const counts = new Map<SystemCall, number>()
  for (const { sync } of covered.values()) counts.set(sync, (counts.get(sync) ?? 0) + 1)
  return { syncs: counts.size, charges: covered.size, most: Math.max(0, ...counts.values()) }
}
