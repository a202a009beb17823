import type { Command } from 'commander'
import { ConfigError } from '../../../core/errors.ts'
import { findNetwork } from '../../../core/money/assets.ts'
import type { ResolvedConfig } from '../../config/resolve/resolved.ts'
import { unknownName } from '../../../io/names/nearest-name.ts'
import { printJson, withCommon, type CommonOptions } from '../shared/buying-options.ts'
import { EXIT, EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import type { CommandContext } from '../shared/command-context.ts'
import { renderTable } from '../output/table.ts'

interface BalanceOptions extends CommonOptions {
  readonly chain?: string
}

/** Adds `tollway balance`. */
export function addBalance(program: Command, context: CommandContext): void {
  const { terminal } = context
  withCommon(
    program
      .command('balance')
      .description('show the wallet balances of the payers, by network and token')
      .argument('[payer]', 'only this payer')
      .option('--chain <network>', 'only this network, by alias or CAIP-2 id'),
  )
    .addHelpText(
      'after',
      `
Examples:
  tollway balance
  tollway balance base --json
  tollway balance --chain base-sepolia

Reads the balances from the nodes under chains; exits with 1 when a node does not answer.
${EXIT_CODES_HELP}`,
    )
    .action(async (payer: string | undefined, options: BalanceOptions) => {
      // Imported here so that help and usage errors appear at once.
      const { loadCommandConfig, onNetwork } = await import('../../config/command-config.ts')
      const { readBalances } = await import('../../buying/balance.ts')
      const config = loadCommandConfig(options.config, onNetwork(terminal.env, options.chain))
      if (payer !== undefined && !config.payers.has(payer)) {
        throw new ConfigError(unknownName('payer', payer, [...config.payers.keys()]))
      }
      const balances = await readBalances(onChain(config, options.chain), payer)
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

/** The configuration with the payers' networks narrowed to one. @throws ConfigError for a network that no payer has */
function onChain(config: ResolvedConfig, chain: string | undefined): ResolvedConfig {
  if (chain === undefined) return config
  const id = findNetwork(chain)?.id ?? chain
  const payers = [...config.payers].filter(([, { networks }]) => networks.includes(id))
  if (payers.length > 0)
    return { ...config, payers: new Map(payers.map(([name, payer]) => [name, { ...payer, networks: [id] }])) }
  const known = [...new Set([...config.payers.values()].flatMap(({ networks }) => networks))]
  throw new ConfigError(
    unknownName(
      'network',
      chain,
      known.map((network) => findNetwork(network)?.alias ?? network),
    ),
  )
}
