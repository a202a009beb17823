/** The output of `tollway audit` for people. */
import type { FollowedRecord } from '../../../io/audit/audit-follow.ts'
import type { BrokenAudit, WholeAudit } from '../../../io/audit/audit-verify.ts'
import type { KnownAudit, ProvenChain } from './audit-chains.ts'
import { renderTable } from './table.ts'

/**
 * As JSON: the first damaged chain, or the first chain if all are intact; with a configuration also all chains.
 * @param known the configuration, when one was read
 */
export function chainsJson(chains: readonly ProvenChain[], known: KnownAudit | undefined): object {
  const all = chains.map(({ file, files, verdict, notHeld }) => ({
    file,
    files,
    ...verdict,
    ...(known ? { not_held_against_ledger: notHeld ?? null } : {}),
  }))
  const shownChain = all.find(({ ok }) => !ok) ?? all[0]
  return known ? { ...shownChain, chains: all } : { ...shownChain }
}

/**
 * @param files as given on the command line, oldest first
 * @param notHeld why the files were not checked against a ledger, if a check was requested
 */
export function renderWhole(
  files: readonly string[],
  verdict: WholeAudit,
  notHeld: string | undefined,
): string {
  const { records, head, openIntents, torn, from, checkpoints } = verdict
  const name = files.length === 1 ? `${files[0]} is` : `${files.length} files ending with ${files.at(-1)} are`
  const lines = [
    `${name} intact: ${records} ${records === 1 ? 'record' : 'records'}, the last one number ${head.seq} with hash ${head.hash}.`,
    ...(from.seq > 0
      ? [
          `Starts after record ${from.seq}; earlier files are missing${from.signed ? ', and a signature covers them' : ', and no signature covers them'}.`,
        ]
      : []),
    ...(checkpoints.count > 0
      ? [
          `Signed: ${checkpoints.count} checkpoints, the last covering record ${checkpoints.last?.seq ?? 0}, by key ${checkpoints.keys.join(', ')}.`,
          ...(checkpoints.unsigned > 0
            ? [`Not signed yet: the ${checkpoints.unsigned} records after it.`]
            : []),
        ]
      : []),
    ...(notHeld === undefined
      ? []
      : [`Not checked against a ledger: ${notHeld}. Records cut off at the end would go unnoticed.`]),
    ...openIntents.map(
      (charge) =>
        `Open: ${charge} was authorized and has no recorded outcome. Its payment may have been sent.`,
    ),
    ...(torn
      ? [
          'Note: the file ends in the middle of a line, after a crash or because a record is being written now.',
        ]
      : []),
  ]
  return `${lines.join('\n')}\n`
}

/** The verdict on a damaged file, for standard error. */
export function renderBroken({ file, line, seq, kind, why }: BrokenAudit): string {
  if (kind === 'truncated') {
    return (
      `${file} is damaged: ${why}. Record ${seq} and those after it existed and are missing, which no crash can cause.\n` +
      'Compare it with a backup.\n'
    )
  }
  if (kind === 'unsigned') {
    return (
      `${file} cannot be trusted: ${why}, and a gateway with a signing key signs its first record.\n` +
      'The file may have been rewritten. Compare it with a backup.\n'
    )
  }
  return (
    `${file} is damaged: line ${line} is not record ${seq}: ${why}.\n` +
    'The records before it are unchanged; this record and those after it are not verified.\n'
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

/** One row per record, with its other facts in the last column. */
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
