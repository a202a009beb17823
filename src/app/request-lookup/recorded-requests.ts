/** Fills in the requests of earlier processes from the end of the audit file. */
import { open } from 'node:fs/promises'
import { LineCutter } from '../../io/audit/audit-lines.ts'
import { readRecord } from '../../io/audit/audit-record.ts'
import { LOOKUP_ENDPOINT, sellerMessageIn, type RecentRequests } from './recent-requests.ts'

/** So much of the file's end is read, bytes: some thousand requests. */
const MAX_READ_BYTES = 4 * 1024 * 1024

/**
 * Notes the requests and charges in the last 4 MiB of an audit file. A file that cannot be read, and lines that are no records,
 * are passed over: the look-up is no proof.
 */
export async function noteRecorded(path: string, requests: RecentRequests): Promise<void> {
  const lines = new LineCutter()
  for (const line of lines.cut(await endOf(path))) {
    const record = line ? readRecord(line, undefined) : 'too long'
    if (typeof record !== 'string') noteRecord(record.type, record.fields, requests)
  }
}

async function endOf(path: string): Promise<Buffer> {
  const file = await open(path, 'r').catch(() => undefined)
  if (!file) return Buffer.alloc(0)
  try {
    const { size } = await file.stat()
    const start = Math.max(0, size - MAX_READ_BYTES)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start)
    return buffer.subarray(0, bytesRead)
  } catch {
    return Buffer.alloc(0)
  } finally {
    await file.close()
  }
}

function noteRecord(type: string, fields: Readonly<Record<string, unknown>>, requests: RecentRequests): void {
  const orNull = (name: string): string | null => (typeof fields[name] === 'string' ? fields[name] : null)
  const text = (name: string): string => orNull(name) ?? ''
  const count = (name: string): number | null => (typeof fields[name] === 'number' ? fields[name] : null)
  const charge = typeof fields['charge'] === 'string' ? fields['charge'] : undefined
  if (type === 'charge.held') return requests.note(text('request'), text('caller'), { charge })
  if (type !== 'request' || fields['endpoint'] === LOOKUP_ENDPOINT) return
  const details: unknown = fields['details']
  const given = typeof details === 'object' && details !== null ? { ...details } : {}
  const ended = {
    endedAt: text('ts'),
    method: text('method'),
    endpoint: text('endpoint'),
    model: orNull('model'),
    route: text('route'),
    status: count('status') ?? 0,
    outcome: text('outcome'),
    code: orNull('code'),
    dryRun: 'dry_run' in given,
    truncated: fields['truncated'] === true,
    inputTokens: count('inputTokens'),
    outputTokens: count('outputTokens'),
    sellerMessage: sellerMessageIn(given),
  }
  requests.note(text('requestId'), text('caller'), { charge, ended })
}
