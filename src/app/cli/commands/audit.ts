import type { Command } from 'commander'
import type { AuditVerdict } from '../../../io/audit-verify.ts'
import { EXIT, EXIT_CODES_HELP } from '../exit-codes.ts'
import type { CommandContext } from '../run.ts'

/** Adds `tollway audit` and its commands. */
export function addAudit(program: Command, context: CommandContext): void {
  const audit = program
    .command('audit')
    .description('look into audit files')
    .addHelpText('after', `\nExamples:\n  tollway audit verify audit.jsonl\n${EXIT_CODES_HELP}`)
  audit
    .command('verify')
    .description('prove that no record of an audit file is missing, added or changed')
    .argument('<file>', 'the audit file, as named under audit.path')
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway audit verify audit.jsonl
  tollway audit verify audit.jsonl --json

Ends with 0 when the file is whole, with 1 when it is not. A file cut at a line end is whole in itself:
compare the last number and hash with a copy kept elsewhere.
${EXIT_CODES_HELP}`,
    )
    .action(async (file: string, options: { json: boolean }) => {
      const { verifyAudit } = await import('../../../io/audit-verify.ts')
      const verdict = await verifyAudit(file)
      const { terminal } = context
      if (options.json) terminal.stdout(`${JSON.stringify({ file, ...verdict }, undefined, 2)}\n`)
      else if (verdict.ok) terminal.stdout(whole(file, verdict))
      else terminal.stderr(broken(file, verdict))
      context.end(verdict.ok ? EXIT.done : EXIT.failed)
    })
}

function whole(file: string, verdict: AuditVerdict & { readonly ok: true }): string {
  const { records, head, openIntents, torn } = verdict
  const lines = [
    `${file} is whole: ${records} ${records === 1 ? 'record' : 'records'}, the last one number ${head.seq} with hash ${head.hash}.`,
    ...openIntents.map(
      (charge) => `Open: ${charge} was authorized and never booked. Its payment may have been sent.`,
    ),
    ...(torn
      ? ['Note: it ends in the middle of a line, after a crash or because a record is being written now.']
      : []),
  ]
  return `${lines.join('\n')}\n`
}

function broken(file: string, { line, seq, why }: AuditVerdict & { readonly ok: false }): string {
  return (
    `${file} is not whole: line ${line} is not record ${seq}: ${why}.\n` +
    'The records before it are as they were written; it and those behind it prove nothing.\n'
  )
}
