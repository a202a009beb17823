/** What audit files say about charges: the latest word on each, over all files of a configuration. */
import nodeFs, { closeSync, existsSync, openSync } from 'node:fs'
import { LineCutter, readFile } from './audit-lines.ts'
import { EMPTY_HEAD, type AuditHead } from './audit-record.ts'
import { archivesOf } from './audit-rotate.ts'
import { readTail } from './audit-tail.ts'

/** A charge as its records tell it. */
export interface RecordedCharge {
  /** The fields of its latest record, with the `tags` of its first. */
  readonly fields: Readonly<Record<string, unknown>>
  /** When it was first recorded, ISO 8601. */
  readonly since: string
}

/** States in which money may have moved. */
const SENT = /^charge\.(?:authorized|uncertain|settled)$/

/**
 * Charges that were signed and not released afterwards, by id, in records after the noted ones.
 * @param files each audit file with the number of the last record that is of no interest
 * @throws ConfigError when a file's last record is damaged; Error as `node:fs` does
 */
export async function signedCharges(
  files: readonly { readonly path: string; readonly after: number }[],
): Promise<Map<string, RecordedCharge>> {
  const records: Record<string, unknown>[] = []
  for (const { path, after } of files) {
    for (const archive of archivesOf(path)) {
      if (archive.lastSeq > after) records.push(...(await chargeRecords(archive.path, after)))
    }
    if (lastRecord(path).seq > after) records.push(...(await chargeRecords(path, after)))
  }
  const charges = new Map<string, RecordedCharge & { sent: boolean }>()
  for (const fields of records.toSorted((a, b) => compare(a['ts'], b['ts']))) {
    const [id, type] = [String(fields['charge']), String(fields['type'])]
    const known = charges.get(id)
    // A start on the old ledger gives back what that ledger knew as reserved only: it was signed later.
    const released = type === 'charge.released' && fields['reason'] !== 'instance_dead'
    const sent = !released && (SENT.test(type) || known?.sent === true)
    charges.set(id, {
      fields: {
        ...(SENT.test(type) ? fields : (known?.fields ?? fields)),
        tags: known?.fields['tags'] ?? fields['tags'],
      },
      since: known?.since ?? String(fields['ts']),
      sent,
    })
  }
  return new Map([...charges].filter(([, { sent }]) => sent))
}

async function chargeRecords(path: string, after: number): Promise<Record<string, unknown>[]> {
  const found: Record<string, unknown>[] = []
  const lines = new LineCutter()
  for await (const chunk of readFile(path)) {
    for (const line of lines.cut(chunk)) {
      if (!line?.includes('"type":"charge.')) continue
      const fields = parse(line)
      if (typeof fields?.['seq'] === 'number' && fields['seq'] > after && fields['charge'] !== undefined)
        found.push(fields)
    }
  }
  return found
}

function parse(line: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'))
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    // `tollway audit verify` reports damaged lines.
    return undefined
  }
}

/** The last whole record of a file; number 0 when there is no file. */
export function lastRecord(path: string): AuditHead {
  if (!existsSync(path)) return EMPTY_HEAD
  const fd = openSync(path, 'r')
  try {
    return readTail(nodeFs, fd, path).head
  } finally {
    closeSync(fd)
  }
}

function compare(a: unknown, b: unknown): number {
  const [one, other] = [String(a), String(b)]
  return one < other ? -1 : Number(one > other)
}
