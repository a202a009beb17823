import type { Command } from 'commander'
import { findNetwork } from '../../../core/money/assets.ts'
import { formatUnits, formatUsd } from '../../../core/money/money.ts'
import type { ReconcileOutcome } from '../../operations/reconcile-once.ts'
import { EXIT, EXIT_CODES_HELP, type ExitCode } from '../shared/exit-codes.ts'
import { CONFIG_OPTION, DEFAULT_CONFIG } from '../shared/options.ts'
import type { CommandContext } from '../shared/command-context.ts'
import { renderTable } from '../output/table.ts'

/** Adds `tollway reconcile`. */
export function addReconcile(program: Command, context: CommandContext): void {
  program
    .command('reconcile')
    .description('check unresolved payments against the chain once')
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway reconcile
  tollway reconcile --config /etc/tollway/tollway.yaml --json

May run while the gateway runs: payments in flight are left alone. Exits with 0 when no payment is uncertain any
more, with 4 when one still is, and with 1 when a node gave no usable answer.
${EXIT_CODES_HELP}`,
    )
    .action(async (options: { config: string; json: boolean }) => {
      const { terminal } = context
      // Imported here so that help and usage errors appear at once.
      const { loadConfigForReading } = await import('../../config/load.ts')
      const { reconcileOnce } = await import('../../operations/reconcile-once.ts')
      const say = (fields: object, message: string): void =>
        terminal.stderr(`${message} ${JSON.stringify(fields)}\n`)
      const config = loadConfigForReading(options.config, terminal.env, ['audit'])
      const outcome = await reconcileOnce(config, { error: say, warn: say })
      terminal.stdout(
        options.json ? `${JSON.stringify(asJson(outcome), undefined, 2)}\n` : renderOutcome(outcome),
      )
      context.end(exitCode(outcome))
    })
}

function exitCode({ networks, uncertain }: ReconcileOutcome): ExitCode {
  if (networks.some(({ ok }) => !ok)) return EXIT.failed
  return uncertain.count > 0 ? EXIT.uncertain : EXIT.done
}

function asJson({ networks, changed, unread, uncertain, flags }: ReconcileOutcome): object {
  return {
    networks: networks.map(({ network, ok, reason, block, looked }) => ({
      network,
      ok,
      reason: reason ?? null,
      block: block?.toString() ?? null,
      looked,
    })),
    changed: changed.map(({ before, after }) => ({
      charge: after.id,
      from: before.state,
      to: after.state,
      proof: after.proof ?? null,
      reason: after.reason ?? null,
      amount: after.amount.toString(),
      transaction: after.transaction ?? null,
    })),
    without_node: unread,
    uncertain: { count: uncertain.count, usd: formatUsd(uncertain.microUsd) },
    flags: flags.map(({ charge, flag, detail, at }) => ({
      charge,
      flag,
      detail,
      at: new Date(at).toISOString(),
    })),
  }
}

function renderOutcome({ networks, changed, unread, uncertain, flags }: ReconcileOutcome): string {
  const nodes = networks.map(({ network, ok, reason, block, looked }) => [
    aliasOf(network),
    ok ? 'ok' : (reason ?? 'failed'),
    block?.toString() ?? '-',
    String(looked),
  ])
  const moves = changed.map(({ before, after }) => [
    after.id,
    `${formatUnits(after.amount, after.decimals)} ${after.symbol}`,
    before.state,
    after.state,
    after.reason ?? '-',
    after.transaction ?? '-',
  ])
  const { count, microUsd } = uncertain
  return [
    renderTable(['NETWORK', 'NODE', 'BLOCK', 'CHECKED'], nodes),
    moves.length === 0
      ? 'Nothing changed.\n'
      : renderTable(['CHARGE', 'AMOUNT', 'WAS', 'IS', 'WHY', 'TRANSACTION'], moves),
    ...unread.map(
      (network) => `No node is configured for ${aliasOf(network)}: its unresolved payments stay counted.\n`,
    ),
    ...(flags.length === 0
      ? []
      : [
          renderTable(
            ['FLAGGED', 'WHY', 'FACTS'],
            flags.map(({ charge, flag, detail }) => [charge, flag, detail]),
          ),
        ]),
    count === 0
      ? 'Nothing is uncertain.\n'
      : `Uncertain: ${count} (${formatUsd(microUsd)} USD), counted as spent until the chain proves otherwise.\n`,
  ].join('\n')
}

function aliasOf(id: string): string {
  return findNetwork(id)?.alias ?? id
}
