/** Whether an audit file and the files rotated before it still hold what is known of them. Read at every start. */
import { existsSync } from 'node:fs'
import { CONTINUED, DROPPED } from './audit-marks.ts'
import { LineCutter, readFile } from './audit-lines.ts'
import { EMPTY_HEAD, readRecord, type AuditHead, type AuditRecord } from './audit-record.ts'
import { lastRecord } from './audit-charges.ts'
import { archivesOf } from './audit-rotate.ts'

/** Records at the start of a file that are searched for what was dropped: a rotation drops files right after it. */
const HEAD_RECORDS = 64

/**
 * What is missing, in words for the log; `undefined` when nothing is.
 *
 * Reads the ends and beginnings of the files, and of the file with the known record all of it if other records follow.
 * @param known the last record that was noted elsewhere
 */
export async function missingRecords(path: string, known: AuditHead): Promise<string | undefined> {
  return (await missingFile(path)) ?? (known.seq === 0 ? undefined : await missingRecord(path, known))
}

/** A rotated file that is gone: the next file continues another one than the one before it. */
async function missingFile(path: string): Promise<string | undefined> {
  const archives = archivesOf(path)
  const files = [...archives.map((archive) => archive.path), ...(existsSync(path) ? [path] : [])]
  const dropped: number[] = []
  let before: AuditHead = EMPTY_HEAD
  let oldest = 0
  for (const [index, file] of files.entries()) {
    const records = await firstRecords(file)
    for (const { type, fields } of records) if (type === DROPPED) dropped.push(Number(fields['last_seq']))
    const [first] = records
    if (!first) continue
    // A file that was moved while it was written was reported then, and is elsewhere.
    if (index === 0) oldest = first.fields['why'] === 'moved' ? 0 : first.seq - 1
    else if (first.seq - 1 !== before.seq) return `records ${before.seq + 1} to ${first.seq - 1}`
    before = lastRecord(file)
  }
  return oldest === 0 || dropped.includes(oldest) ? undefined : `records 1 to ${oldest}`
}

/** A known record that is gone, or another one in its place. */
async function missingRecord(path: string, known: AuditHead): Promise<string | undefined> {
  const last = lastRecord(path)
  if (last.seq < known.seq) return `records ${last.seq + 1} to ${known.seq}`
  if (last.seq === known.seq) return last.hash === known.hash ? undefined : `record ${known.seq}`
  const archive = archivesOf(path).find(({ lastSeq }) => lastSeq >= known.seq)
  if (archive?.lastSeq === known.seq) {
    return lastRecord(archive.path).hash === known.hash ? undefined : `record ${known.seq}`
  }
  for await (const record of recordsOf(archive?.path ?? path)) {
    if (record.seq === known.seq) return record.hash === known.hash ? undefined : `record ${known.seq}`
    // The file with the record was dropped, and its successor names it.
    if (record.type === CONTINUED && record.seq - 1 >= known.seq) {
      const isNamed = record.seq - 1 > known.seq || record.fields['at_hash'] === known.hash
      return isNamed ? undefined : `record ${known.seq}`
    }
  }
  return `record ${known.seq}`
}

async function firstRecords(path: string): Promise<AuditRecord[]> {
  const found: AuditRecord[] = []
  for await (const record of recordsOf(path)) {
    found.push(record)
    if (found.length >= HEAD_RECORDS) break
  }
  return found
}

/** The readable records of a file. Damage is reported by `tollway audit verify`. */
async function* recordsOf(path: string): AsyncGenerator<AuditRecord> {
  const lines = new LineCutter()
  for await (const chunk of readFile(path)) {
    for (const line of lines.cut(chunk)) {
      const record = line && readRecord(line, undefined)
      if (record && typeof record !== 'string') yield record
    }
  }
}
