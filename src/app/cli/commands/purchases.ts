/** `tollway list` and `tollway status`. */
import type { Command } from 'commander'
import { printJson, withCommon, type CommonOptions } from '../shared/buying-options.ts'
import { EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import type { CommandContext } from '../shared/command-context.ts'

interface StatusOptions extends CommonOptions {
  readonly pool?: string
}

/** Adds `tollway list` and `tollway status`. */
export function addPurchases(program: Command, context: CommandContext): void {
  const { terminal } = context
  withCommon(program.command('list').description('list purchases'))
    .addHelpText(
      'after',
      `
Examples:
  tollway list
  tollway list --json

Only reads the ledger: no key is used, and a running gateway is not disturbed.
${EXIT_CODES_HELP}`,
    )
    .action(async (options: CommonOptions) => {
      const { NoLedgerError } = await import('../../../io/store/no-ledger.ts')
      const { known, report } = await read(options, undefined, context).catch(async (error: unknown) => {
        // Where nothing was ever bought the list is empty; why it is so is said beside it.
        if (!(error instanceof NoLedgerError)) throw error
        terminal.stderr(`${error.message}\n`)
        return { known: [], report: await import('../output/purchases-report.ts') }
      })
      if (options.json) printJson(terminal, known.map(report.purchaseJson))
      else terminal.stdout(report.renderPurchases(known))
    })
  withCommon(
    program
      .command('status')
      .description('show purchases in detail: vouchers left, their expiry, and the refill policy')
      .argument('[name]', 'only this purchase')
      .option('--pool <name>', 'only purchases of this payer'),
  )
    .addHelpText(
      'after',
      `
Examples:
  tollway status
  tollway status qwen --json
${EXIT_CODES_HELP}`,
    )
    .action(async (name: string | undefined, options: StatusOptions) => {
      const { known, report } = await read(options, name, context)
      if (name !== undefined && known.length === 0) {
        const { unknownPurchase } = await import('../../buying/find-purchase.ts')
        const all = await read({ ...options }, undefined, context)
        throw unknownPurchase(
          name,
          all.known.map(({ purchase }) => purchase),
        )
      }
      const [first] = known
      if (options.json) {
        printJson(
          terminal,
          name !== undefined && first ? report.purchaseJson(first) : known.map(report.purchaseJson),
        )
      } else if (first) terminal.stdout(known.map(report.renderPurchase).join('\n'))
      else terminal.stdout(report.renderPurchases([]))
    })
}

async function read(options: StatusOptions, name: string | undefined, { terminal }: CommandContext) {
  // Imported here so that help and usage errors appear at once.
  const { loadConfigForReading } = await import('../../config/load.ts')
  const { readPurchases } = await import('../../buying/read-purchases.ts')
  const { loadCommandConfig } = await import('../../config/command-config.ts')
  const config = loadCommandConfig(options.config, terminal.env, loadConfigForReading)
  const known = await readPurchases(config, Date.now(), { name, payer: options.pool })
  return { known, report: await import('../output/purchases-report.ts') }
}
