/** What the audit files of a campaign say. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { verifyAudit } from '../../../src/io/audit/audit-verify.ts'

/** The audit files of a directory, read to their ends. */
export interface AuditTrail {
  readonly files: number
  readonly records: number
  /** Torn lines that were moved aside and told. */
  readonly repaired: number
  /** Files whose chain does not hold, or that end in a torn line, and why. */
  readonly broken: readonly string[]
  /** Charges an intent was recorded for. */
  readonly intents: ReadonlySet<string>
  /** The last word on each charge, e.g. `settled`. */
  readonly lastWords: ReadonlyMap<string, string>
}

/** Verifies every file and reads it. */
export async function readTrail(directory: string): Promise<AuditTrail> {
  const names = (await readdir(directory)).filter((name) => /^audit-.*\.jsonl$/.test(name)).toSorted()
  const broken: string[] = []
  const intents = new Set<string>()
  const words: { readonly charge: string; readonly state: string; readonly ts: string }[] = []
  let records = 0
  let repaired = 0
  for (const name of names) {
    const fault = await auditFault(join(directory, name))
    if (fault !== undefined) broken.push(fault)
    for (const line of (await readFile(join(directory, name), 'utf8')).split('\n')) {
      const record = parse(line)
      if (!record) continue
      records += 1
      const { type, charge, ts, state } = record
      if (type === 'audit.repaired') repaired += 1
      if (charge === undefined) continue
      if (type === 'charge.authorized') intents.add(charge)
      if (type?.startsWith('charge.') === true && state !== undefined)
        words.push({ charge, state, ts: ts ?? '' })
    }
  }
  // Of several files: the time decides, and within one the order, which sorting keeps.
  const inTime = words.toSorted((a, b) => (a.ts < b.ts ? -1 : a.ts > b.ts ? 1 : 0))
  const lastWords = new Map(inTime.map(({ charge, state }) => [charge, state]))
  return { files: names.length, records, repaired, broken, intents, lastWords }
}

/** What is wrong with an audit file that nobody writes; a torn line is. */
async function auditFault(path: string): Promise<string | undefined> {
  const verdict = await verifyAudit(path)
  if (!verdict.ok) return `${path}: line ${verdict.line}: ${verdict.why}`
  return verdict.torn ? `${path} ends in a torn line` : undefined
}

type AuditLine = Readonly<Partial<Record<'type' | 'charge' | 'ts' | 'state', string>>>

function parse(line: string): AuditLine | undefined {
  try {
    return JSON.parse(line) as AuditLine
  } catch {
    return undefined
  }
}
