/** Heads of audit files in memory. */
import type { AuditHeadNote, AuditHeadStore } from '../contracts/audit-heads.ts'
import type { InTransaction } from '../synchronous-store.ts'
import { compare } from './compare.ts'

/** The audit heads of the memory store. */
export class MemoryAuditHeads implements InTransaction<AuditHeadStore> {
  readonly #heads = new Map<string, AuditHeadNote>()

  noteAuditHead(head: AuditHeadNote): void {
    this.#heads.set(head.file, head)
  }

  auditHeads(): AuditHeadNote[] {
    return [...this.#heads.values()].toSorted((a, b) => compare(a.file, b.file))
  }
}
