import type { Command } from 'commander'
import { ConfigError } from '../../../core/errors.ts'
import { unknownName } from '../../../io/names/nearest-name.ts'
import { printJson, withCommon, type CommonOptions } from '../shared/buying-options.ts'
import { EXIT, EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import type { CommandContext } from '../shared/command-context.ts'
import { renderTable } from '../output/table.ts'

/** Adds `tollway balance`. */
export function addBalance(program: Command, context: CommandContext): void {
  const { terminal } = context
  withCommon(
    program
      .command('balance')
      .description('show the wallet balances of the payers, by network and token')
      .argument('[payer]', 'only this payer'),
  )
    .addHelpText(
      'after',
      `
Examples:
  tollway balance
  tollway balance base --json

Reads the balances from the nodes under chains; exits with 1 when a node does not answer.
${EXIT_CODES_HELP}`,
    )
    .action(async (payer: string | undefined, options: CommonOptions) => {
      // Imported here so that help and usage errors appear at once.
      const { loadConfig } = await import('../../config/load.ts')
      const { readBalances } = await import('../../buying/balance.ts')
      const config = loadConfig(options.config, terminal.env)
      if (payer !== undefined && !config.payers.has(payer)) {
        throw new ConfigError(unknownName('payer', payer, [...config.payers.keys()]))
      }
      const balances = await readBalances(config, payer)
      if (options.json) {
        printJson(
          terminal,
          balances.map(({ permit2Allowance, balance, usd, problem, ...rest }) => ({
            ...rest,
            balance: balance ?? null,
            usd: usd ?? null,
            permit2_allowance: permit2Allowance ?? null,
            problem: problem ?? null,
          })),
        )
      } else if (balances.length === 0) terminal.stdout('No payer has a wallet of its own.\n')
      else {
        terminal.stdout(
          renderTable(
            ['PAYER', 'NETWORK', 'TOKEN', 'BALANCE', 'USD', 'PERMIT2 MAY TAKE', 'ADDRESS', ''],
            balances.map(({ permit2Allowance, problem, address, ...one }) => [
              one.payer,
              one.network,
              one.token,
              one.balance ?? '-',
              one.usd === undefined ? '-' : `$${one.usd}`,
              permit2Allowance ?? '-',
              address,
              PROBLEMS[problem ?? ''] ?? '',
            ]),
          ),
        )
      }
      context.end(balances.some(({ problem }) => problem === 'no_answer') ? EXIT.failed : EXIT.done)
    })
}

const PROBLEMS: Readonly<Record<string, string>> = {
  no_node: 'no node under chains',
  not_deployed: 'no contract at its address',
  no_answer: 'the node did not answer',
}
