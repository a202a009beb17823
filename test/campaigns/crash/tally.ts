/** Counts what happened, for the report. */
import type { Remains } from './books.ts'
import type { Death } from './life.ts'
import type { Kill } from './plan.ts'
import { ANSWER_UNBOOKED, isStep, RECORD_TO_RECEIPT } from './steps.ts'

/** Where a kill fell, from the point of view of the money. */
export type Phase =
  | 'starting'
  | 'idle'
  | 'unpaid or relaying'
  | 'reserve to record'
  | 'record to receipt'
  | 'receipt to booking'
  | 'after booking'
  | 'in a transaction'
  | 'in a line of the audit file'
  | 'retiring the dead'
  | 'booking the word of the chain'

/** One kill, as it turned out. */
export interface Blow {
  readonly kill: Kill
  readonly death: Death
  readonly remains: Remains
  readonly wasReady: boolean
  /** Requests its clients were waiting for. */
  readonly inFlight: number
  readonly slowBlocks: boolean
  /** It fell with another gateway, in the same instant. */
  readonly collateral: boolean
}

/** See the file's head. */
export class Tally {
  readonly blows: Blow[] = []
  /** Audit files that ended in a torn line after a kill. */
  torn = 0
  checks = 0
  /** From spawn to listening, milliseconds. */
  readonly startMs: number[] = []

  /** Kills that fell while at least one charge of the dead process was recorded and its answer had not come. */
  get recordToReceipt(): number {
    return this.blows.filter((blow) => isBetweenRecordAndReceipt(blow)).length
  }

  /** Counts by a name; names in alphabetical order. */
  count(nameOf: (blow: Blow) => string | undefined): Record<string, number> {
    return countBy(this.blows.flatMap((blow) => nameOf(blow) ?? []))
  }
}

/** How often each name occurs; names in alphabetical order. */
export function countBy(names: readonly string[]): Record<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return Object.fromEntries([...counts].toSorted(([a], [b]) => a.localeCompare(b)))
}

function isBetweenRecordAndReceipt({ death, remains }: Blow): boolean {
  const { step } = death
  // The charge that died at such a step is authorized on the disk, and its answer was there.
  const answered = step !== undefined && isStep(step) && ANSWER_UNBOOKED.has(step) ? 1 : 0
  return remains.authorized > answered
}

/** Where a kill fell: by its step, or by what the dead process left in the ledger. */
export function phaseOf(blow: Blow): Phase {
  const { death, remains } = blow
  const { step } = death
  if (step !== undefined && isStep(step)) {
    if (RECORD_TO_RECEIPT.has(step)) return 'record to receipt'
    if (ANSWER_UNBOOKED.has(step)) return 'receipt to booking'
    if (step.startsWith('commit:')) return 'in a transaction'
    if (step.startsWith('audit:')) return 'in a line of the audit file'
    if (step.startsWith('retire:')) return 'retiring the dead'
    if (step.startsWith('reconcile.')) return 'booking the word of the chain'
    if (step === 'reserve:before') return 'unpaid or relaying'
    return /^(?:reserve|audit\.held|sign|record)/.test(step) ? 'reserve to record' : 'after booking'
  }
  if (remains.authorized > 0) return 'record to receipt'
  if (remains.held > 0) return 'reserve to record'
  if (!blow.wasReady) return 'starting'
  return blow.inFlight > 0 ? 'unpaid or relaying' : 'idle'
}
