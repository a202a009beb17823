/** What every store must remember of audit files. */
import { expect, test } from 'vitest'
import type { Store } from '../../io/store/store.ts'
import { NOW } from './samples.ts'

/** @param store the store of the running test */
export function auditHeadsConformance(store: () => Store): void {
  test('keeps the newest head of each audit file, listed by path', async () => {
    const head = { file: '/b.jsonl', seq: 1, hash: 'a'.repeat(64), at: NOW }
    expect(await store().auditHeads()).toEqual([])
    await store().noteAuditHead(head)
    await store().noteAuditHead({ ...head, file: '/a.jsonl', seq: 2 })
    await store().noteAuditHead({ ...head, seq: 7, hash: 'b'.repeat(64), at: NOW + 1 })
    expect(await store().auditHeads()).toEqual([
      { ...head, file: '/a.jsonl', seq: 2 },
      { ...head, seq: 7, hash: 'b'.repeat(64), at: NOW + 1 },
    ])
  })
}
