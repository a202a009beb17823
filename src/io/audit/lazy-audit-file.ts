/** An audit file that opens itself, for middlewares that are mounted without a gateway. */
import { randomBytes } from 'node:crypto'
import type { Clock } from '../../core/clock.ts'
import { openAuditFile } from './audit-file.ts'
import type { AuditSink } from './audit-queue.ts'
import type { AuditFile } from './audit-writer.ts'

/** A file that several middlewares write to. */
export interface SharedAuditFile extends Required<AuditSink> {
  /**
   * Keeps the file open beyond {@link AuditSink.close}, for a ledger whose last records are still to come.
   * @returns lets go of it
   */
  hold(): () => Promise<void>
}

/** Opens the file with the first record. A failure rejects that record; the next one tries again. */
export function lazyAuditFile(path: string, clock: Clock): SharedAuditFile {
  let opening: Promise<AuditFile> | undefined
  let holders = 0
  let isClosing = false
  const open = async (): Promise<AuditFile> => {
    opening ??= openAuditFile({ path, clock, instance: `ins_${randomBytes(12).toString('hex')}` })
    try {
      return await opening
    } catch (error) {
      opening = undefined
      throw error
    }
  }
  const closeUnheld = async (): Promise<void> => {
    if (!isClosing || holders > 0) return
    const file = await opening?.catch(() => undefined)
    await file?.close()
  }
  return {
    append: async (type, fields, options) => await (await open()).append(type, fields, options),
    check: async () => await (await open()).check(),
    hold() {
      holders += 1
      return async () => {
        holders -= 1
        await closeUnheld()
      }
    },
    async close() {
      isClosing = true
      await closeUnheld()
    },
  }
}
