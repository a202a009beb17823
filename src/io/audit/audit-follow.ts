/** Follows one payment through audit files: from a request id to its charges, nonces and transactions, and back. */
import { LineCutter, readFile } from './audit-lines.ts'
import { readRecord, type AuditRecord } from './audit-record.ts'

/** What to look for. Fields that are left out match nothing. */
export interface AuditQuery {
  readonly charge?: string | undefined
  readonly request?: string | undefined
  /** Transaction hash, upper or lower case. */
  readonly tx?: string | undefined
  /** Nonce of the authorization, upper or lower case. */
  readonly nonce?: string | undefined
}

/** A record that belongs to the query. */
export interface FollowedRecord extends AuditRecord {
  /** The path of its file, as given. */
  readonly file: string
  /** Its line number, from 1. */
  readonly line: number
}

/**
 * Every record of the charges and requests that a query leads to, in the order they were written. Reads each file twice and
 * keeps only ids in memory. Skips lines that are not records; `verifyAudit` reports those.
 * @throws ConfigError when a file does not exist
 */
export async function* followAudit(
  paths: readonly string[],
  query: AuditQuery,
): AsyncGenerator<FollowedRecord> {
  const charges = new Set(query.charge === undefined ? [] : [query.charge])
  const requests = new Set(query.request === undefined ? [] : [query.request])
  for await (const record of records(paths)) {
    const { charge, request } = idsOf(record)
    if (!matches(record, query, charge, request)) continue
    if (charge !== undefined) charges.add(charge)
    if (request !== undefined) requests.add(request)
  }
  for await (const record of records(paths)) {
    const { charge, request } = idsOf(record)
    const own = charge === undefined ? request !== undefined && requests.has(request) : charges.has(charge)
    if (own) yield record
  }
}

function matches(
  { fields }: AuditRecord,
  query: AuditQuery,
  charge: string | undefined,
  request: string | undefined,
): boolean {
  if (query.charge !== undefined && charge === query.charge) return true
  if (query.request !== undefined && request === query.request) return true
  return same(fields['transaction'], query.tx) || same(fields['nonce'], query.nonce)
}

function same(value: unknown, wanted: string | undefined): boolean {
  return typeof value === 'string' && wanted !== undefined && value.toLowerCase() === wanted.toLowerCase()
}

function idsOf({ fields }: AuditRecord): { charge: string | undefined; request: string | undefined } {
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
  return { charge: text(fields['charge']), request: text(fields['request']) ?? text(fields['requestId']) }
}

async function* records(paths: readonly string[]): AsyncGenerator<FollowedRecord> {
  for (const file of paths) {
    const lines = new LineCutter()
    let number = 0
    for await (const chunk of readFile(file)) {
      for (const line of lines.cut(chunk)) {
        number += 1
        const record = line ? readRecord(line, undefined) : 'too long'
        if (typeof record !== 'string') yield { ...record, file, line: number }
      }
    }
  }
}
