import type { Command } from 'commander'
import type { CommandContext } from '../shared/command-context.ts'
import { EXIT_CODES_HELP } from '../shared/exit-codes.ts'

/** Adds `tollway store`. */
export function addStore(program: Command, context: CommandContext): void {
  program
    .command('store')
    .description('move a ledger')
    .addHelpText(
      'after',
      `
Examples:
  tollway store migrate sqlite:./tollway.db 'postgres://tollway:\${env:LEDGER_PASSWORD}@db.internal/tollway'
${EXIT_CODES_HELP}`,
    )
    .command('migrate')
    .description('copy a SQLite ledger into an empty Postgres one, and prove that both say the same')
    .argument('<from>', 'sqlite: and a path')
    .argument('<to>', 'postgres://user@host/database; a password as ${env:NAME}')
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway store migrate sqlite:./tollway.db 'postgres://tollway:\${env:LEDGER_PASSWORD}@db.internal/tollway'

Stop every gateway and command that uses the ledger first. All is copied in one transaction, and counts and sums of every
table are compared before it ends: the copy is whole, or there is none. Afterwards set store: to the address, and keep
the old file as a backup only: a gateway that still used it would spend the same budgets again.
${EXIT_CODES_HELP}`,
    )
    .action(async (from: string, to: string, options: { json: boolean }) => {
      const { terminal } = context
      // Imported here so that help and usage errors appear at once.
      const { migrateStore } = await import('../../operations/migrate-store.ts')
      const { systemClock } = await import('../../../core/clock.ts')
      const migrated = await migrateStore(from, to, { env: terminal.env, clock: systemClock })
      if (options.json) {
        terminal.stdout(`${JSON.stringify(migrated, undefined, 2)}\n`)
        return
      }
      const rows = migrated.copied.reduce((sum, one) => sum + one.rows, 0)
      const charges = migrated.copied.find(({ table }) => table === 'charges')?.rows ?? 0
      terminal.stdout(
        `Copied ${charges} charges (${rows} rows in all) of ${migrated.file} in ${migrated.seconds.toFixed(1)} seconds. Counts and sums of every table are equal.\n` +
          'Set store: to the new address. Never start a gateway with the old file again: it would spend the same budgets again.\n',
      )
    })
}
