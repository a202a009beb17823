import type { Command } from 'commander'
import type { Backup } from '../../operations/backup.ts'
import { EXIT, EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import { CONFIG_OPTION, DEFAULT_CONFIG } from '../shared/options.ts'
import type { CommandContext } from '../shared/command-context.ts'

/** Adds `tollway backup`. */
export function addBackup(program: Command, context: CommandContext): void {
  program
    .command('backup')
    .description('back up the ledger and audit files, also while a gateway is running')
    .argument('<directory>', 'a directory that does not exist yet')
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway backup backups/2026-11-21
  tollway backup backups/2026-11-21 --config /etc/tollway/tollway.yaml --json

The directory holds tollway.db, audit.jsonl, the audit files of commands (audit.cli.jsonl) and backup.json, or is not created
at all. How to restore it: docs/backup.md. Ends with 1 when an audit file is incomplete; it is copied anyway, as evidence.
${EXIT_CODES_HELP}`,
    )
    .action(async (directory: string, options: { config: string; json: boolean }) => {
      const { terminal } = context
      // Loaded here, so that help and usage errors come at once.
      const { loadConfigForReading } = await import('../../config/load.ts')
      const { backUp } = await import('../../operations/backup.ts')
      const { systemClock } = await import('../../../core/clock.ts')
      const backup = await backUp(loadConfigForReading(options.config, terminal.env), directory, systemClock)
      if (options.json) terminal.stdout(`${JSON.stringify(backup, undefined, 2)}\n`)
      else terminal.stdout(render(backup))
      const copies = [
        ...(backup.audit ? [['audit.jsonl', backup.audit] as const] : []),
        ...Object.entries(backup.commands),
      ]
      for (const [name, { verdict }] of copies) {
        if (verdict.ok) continue
        terminal.stderr(
          `The audit file ${name} is not whole: line ${verdict.line} is not record ${verdict.seq}: ${verdict.why}.\n`,
        )
        context.end(EXIT.failed)
      }
    })
}

function render({ directory, ledger, audit, commands }: Backup): string {
  const charges = Object.entries(ledger.charges).map(([state, count]) => `${count} ${state}`)
  const lines = [
    `Backed up to ${directory}.`,
    `Ledger: schema ${ledger.schema}, charges: ${charges.join(', ') || 'none'}.`,
    audit
      ? audit.verdict.ok
        ? `Audit file: ${audit.verdict.records} records, the last one with hash ${audit.verdict.head.hash}.`
        : 'Audit file: copied, but not whole.'
      : 'Audit file: there is none yet.',
    ...Object.entries(commands).map(([name, { verdict }]) =>
      verdict.ok ? `${name}: ${verdict.records} records.` : `${name}: copied, but not whole.`,
    ),
  ]
  return `${lines.join('\n')}\n`
}
