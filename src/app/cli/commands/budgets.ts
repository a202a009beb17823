import type { Command } from 'commander'
import { ConfigError } from '../../../core/errors.ts'
import { EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import { CONFIG_OPTION, DEFAULT_CONFIG } from '../shared/options.ts'
import type { CommandContext } from '../shared/command-context.ts'

/** Adds `tollway budgets`. */
export function addBudgets(program: Command, context: CommandContext): void {
  program
    .command('budgets')
    .description('show how much of each budget is spent and left, from the ledger')
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway budgets
  tollway budgets --config /etc/tollway/tollway.yaml --json

Only reads the ledger: a running gateway is not disturbed.
${EXIT_CODES_HELP}`,
    )
    .action(async (options: { config: string; json: boolean }) => {
      const { terminal } = context
      // Imported here so that help and usage errors appear at once.
      const { loadConfigForReading } = await import('../../config/load.ts')
      const { readLedger } = await import('../../../io/ledger/open-store.ts')
      const { readBudgets } = await import('../../../io/ledger/budget-status.ts')
      const { budgetsJson } = await import('../../report/budget-json.ts')
      const { renderBudgets } = await import('../output/budgets-report.ts')
      const { currentBudgets } = await import('../../wiring/current-budgets.ts')
      const config = loadConfigForReading(options.config, terminal.env)
      const { store } = config
      if (store === 'memory') {
        throw new ConfigError(
          'store: memory exists only inside the gateway. Use GET /api/budgets or open /dashboard, ' +
            'or set store: sqlite:./tollway.db to keep a ledger that commands can read.',
        )
      }
      const ledger = await readLedger(store)
      try {
        const now = Date.now()
        const budgets = currentBudgets(config)
        const statuses = await readBudgets(ledger, budgets, now)
        terminal.stdout(
          options.json
            ? `${JSON.stringify({ time: new Date(now).toISOString(), budgets: budgetsJson(budgets, statuses, now) }, undefined, 2)}\n`
            : renderBudgets(budgets, statuses, now),
        )
      } finally {
        await ledger.close()
      }
    })
}
