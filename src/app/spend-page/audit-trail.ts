/** The audit records of one charge, read from the gateway's files and from those that commands wrote next to them. */
import { LineCutter, readFile } from '../../io/audit/audit-lines.ts'
import { readRecord } from '../../io/audit/audit-record.ts'
import { overAuditFiles } from '../wiring/audit-files.ts'

/** A charge has a handful of records; a file with more for one charge is not trustworthy. */
const MAX_RECORDS = 100

/** A record, and whether its hash matches its content. */
export interface TrailRecord {
  readonly intact: boolean
  readonly record: Readonly<Record<string, unknown>>
}

/**
 * Finds a charge's records, in the order they were written; at most 100.
 * @param path of the gateway's file
 * @throws ConfigError if the file is missing
 */
export async function auditTrail(path: string, charge: string): Promise<TrailRecord[]> {
  return await overAuditFiles(path, async (files) => {
    const found: TrailRecord[] = []
    for (const file of files) {
      for await (const record of recordsIn(file, charge)) {
        found.push(record)
        if (found.length === MAX_RECORDS) return byTime(found)
      }
    }
    return byTime(found)
  })
}

/** Sorts by time: a gateway may finish what a command started, and each has its own file. */
function byTime(records: readonly TrailRecord[]): TrailRecord[] {
  const time = ({ record }: TrailRecord): string => String(record['ts'])
  return records.toSorted((a, b) => (time(a) === time(b) ? 0 : time(a) < time(b) ? -1 : 1))
}

async function* recordsIn(file: string, charge: string): AsyncGenerator<TrailRecord> {
  const lines = new LineCutter()
  for await (const chunk of readFile(file)) {
    for (const line of lines.cut(chunk)) {
      if (!line?.includes(charge)) continue
      const record = readRecord(line, undefined)
      const fields = typeof record === 'string' ? unchecked(line) : record.fields
      if (fields?.['charge'] === charge) yield { intact: typeof record !== 'string', record: fields }
    }
  }
}

/** A record whose hash does not match is shown and marked. */
function unchecked(line: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'))
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}
