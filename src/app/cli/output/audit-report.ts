/** What `tollway audit` tells people. */
import type { FollowedRecord } from '../../../io/audit/audit-follow.ts'
import type { BrokenAudit, WholeAudit } from '../../../io/audit/audit-verify.ts'
import type { KnownAudit, ProvenChain } from './audit-chains.ts'
import { renderTable } from './table.ts'

/**
 * For programs: the first chain that is not whole, or the first, and with a configuration all of them.
 * @param known the configuration, when one was read
 */
export function chainsJson(chains: readonly ProvenChain[], known: KnownAudit | undefined): object {
  const all = chains.map(({ file, files, verdict, notHeld }) => ({
    file,
    files,
    ...verdict,
    ...(known ? { not_held_against_ledger: notHeld ?? null } : {}),
  }))
  const told = all.find(({ ok }) => !ok) ?? all[0]
  return known ? { ...told, chains: all } : { ...told }
}

/**
 * @param files as they were named, oldest first
 * @param notHeld why they were not held against a ledger, when that was asked for
 */
export function renderWhole(
  files: readonly string[],
  verdict: WholeAudit,
  notHeld: string | undefined,
): string {
  const { records, head, openIntents, torn, from, checkpoints } = verdict
  const name = files.length === 1 ? `${files[0]} is` : `${files.length} files ending with ${files.at(-1)} are`
  const lines = [
    `${name} whole: ${records} ${records === 1 ? 'record' : 'records'}, the last one number ${head.seq} with hash ${head.hash}.`,
    ...(from.seq > 0
      ? [
          `Starts after record ${from.seq}; earlier files are missing${from.signed ? ', and a signature covers them' : ', and no signature covers them'}.`,
        ]
      : []),
    ...(checkpoints.count > 0
      ? [
          `Signed: ${checkpoints.count} checkpoints, the last one over record ${checkpoints.last?.seq ?? 0}, by key ${checkpoints.keys.join(', ')}.`,
          ...(checkpoints.unsigned > 0
            ? [`Not signed yet: the ${checkpoints.unsigned} records after it.`]
            : []),
        ]
      : []),
    ...(notHeld === undefined
      ? []
      : [`Not checked against a ledger: ${notHeld}. Records cut off at its end would not be noticed.`]),
    ...openIntents.map(
      (charge) => `Open: ${charge} was authorized and never booked. Its payment may have been sent.`,
    ),
    ...(torn
      ? ['Note: it ends in the middle of a line, after a crash or because a record is being written now.']
      : []),
  ]
  return `${lines.join('\n')}\n`
}

/** For standard error. */
export function renderBroken({ file, line, seq, kind, why }: BrokenAudit): string {
  if (kind === 'truncated') {
    return (
      `${file} is not whole: ${why}. Record ${seq} and those after it existed and are gone, which no crash causes.\n` +
      'Compare with a backup.\n'
    )
  }
  if (kind === 'unsigned') {
    return (
      `${file} proves nothing: ${why}, and with the signing key every gateway signs its first record.\n` +
      'The file may have been rewritten. Compare it with a backup.\n'
    )
  }
  return (
    `${file} is not whole: line ${line} is not record ${seq}: ${why}.\n` +
    'The records before it are unchanged; it and those after it prove nothing.\n'
  )
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : '-'
}

const COLUMNS = [
  'amount',
  'usd',
  'state',
  'reason',
  'status',
  'outcome',
  'code',
  'nonce',
  'transaction',
] as const

/** A row for each record, the facts that tell the story beside it. */
export function renderFollowed(records: readonly FollowedRecord[]): string {
  const rows = records.map(({ seq, type, fields }) => {
    const facts = COLUMNS.flatMap((name) => {
      const value = fields[name]
      return typeof value === 'string' || typeof value === 'number' ? [`${name}=${value}`] : []
    })
    return [
      String(seq),
      String(fields['ts']),
      type,
      shown(fields['request'] ?? fields['requestId']),
      shown(fields['charge']),
      facts.join(' '),
    ]
  })
  return renderTable(['SEQ', 'TIME', 'RECORD', 'REQUEST', 'CHARGE', 'FACTS'], rows)
}
