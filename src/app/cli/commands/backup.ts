import type { Command } from 'commander'
import type { Backup } from '../../operations/backup.ts'
import { ConfigError } from '../../../core/errors.ts'
import { EXIT, EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import { CONFIG_OPTION, DEFAULT_CONFIG } from '../shared/options.ts'
import type { CommandContext } from '../shared/command-context.ts'

/** Adds `tollway backup`. */
export function addBackup(program: Command, context: CommandContext): void {
  const command = program
    .command('backup')
    .description('back up the ledger and the audit files, also while a gateway is running')
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
      // Imported here so that help and usage errors appear at once.
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
          `The audit file ${name} is damaged: line ${verdict.line} is not record ${verdict.seq}: ${verdict.why}.\n`,
        )
        context.end(EXIT.failed)
      }
    })
  addRestore(command, context)
}

function addRestore(backup: Command, context: CommandContext): void {
  backup
    .command('restore')
    .description('bring a restored ledger up to date with its audit files, so that a gateway can start')
    .option(
      '--adopt-audit',
      'add the payments that only the audit files know to the ledger and its budgets',
      false,
    )
    .option('--forget', 'go on without them: the budgets never count that money', false)
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway backup restore --adopt-audit --config tollway.yaml

Restore the ledger first: docs/backup.md. Amounts above a limit are added too.
${EXIT_CODES_HELP}`,
    )
    .action(
      async (
        options: { adoptAudit: boolean; forget: boolean; json: boolean; config?: string },
        command: Command,
      ) => {
        if (options.adoptAudit === options.forget) {
          throw new ConfigError('Name one of --adopt-audit and --forget.')
        }
        const { terminal } = context
        const { loadConfigForReading } = await import('../../config/load.ts')
        const { restoreLedger } = await import('../../operations/restore.ts')
        const { sumOf } = await import('../../wiring/refuse-old-ledger.ts')
        const { systemClock } = await import('../../../core/clock.ts')
        const { config: outer, json } = command.optsWithGlobals<{
          config?: string
          json: boolean
        }>()
        // Given to this command or to `backup` before it.
        const isOwn = command.getOptionValueSource('config') === 'cli'
        const config = (isOwn ? options.config : outer) ?? DEFAULT_CONFIG
        const how = options.adoptAudit ? 'adopt' : 'forget'
        const { result, charges } = await restoreLedger(
          loadConfigForReading(config, terminal.env),
          how,
          systemClock,
        )
        const sum = sumOf(charges)
        if (json) {
          const ids = charges.map(({ id }) => id)
          terminal.stdout(`${JSON.stringify({ result, charges: ids }, undefined, 2)}\n`)
        } else {
          terminal.stdout(
            result === 'adopted'
              ? `Added ${sum} to the ledger; they count in the budgets of their time.\n`
              : `The ledger goes on without ${sum}; the budgets never count that money.\n`,
          )
        }
      },
    )
}

function render({ directory, ledger, audit, commands }: Backup): string {
  const charges = Object.entries(ledger.charges).map(([state, count]) => `${count} ${state}`)
  const lines = [
    `Backed up to ${directory}.`,
    `Ledger: schema ${ledger.schema}, charges: ${charges.join(', ') || 'none'}.`,
    audit
      ? audit.verdict.ok
        ? `Audit file: ${audit.verdict.records} records, the last with hash ${audit.verdict.head.hash}.`
        : 'Audit file: copied, but damaged.'
      : 'Audit file: none exists yet.',
    ...Object.entries(commands).map(([name, { verdict }]) =>
      verdict.ok ? `${name}: ${verdict.records} records.` : `${name}: copied, but damaged.`,
    ),
  ]
  return `${lines.join('\n')}\n`
}
