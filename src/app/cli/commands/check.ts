import type { Command } from 'commander'
import { visibleLine } from '../../../core/visible.ts'
import { systemClock } from '../../../core/clock.ts'
import type { Finding } from '../../doctor/finding.ts'
import { findingJson, renderFindings } from '../output/doctor-report.ts'
import { EXAMPLE_CONFIG } from '../shared/example-config.ts'
import type { LoadedConfig } from '../../config/load.ts'
import type { ResolvedConfig } from '../../config/resolve/resolved.ts'
import type { FilesInspection } from '../../obol/inspect-files.ts'
import { EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import { CONFIG_OPTION, DEFAULT_CONFIG } from '../shared/options.ts'
import type { CommandContext } from '../shared/command-context.ts'

interface CheckOptions {
  readonly config: string
  readonly json: boolean
  readonly online: boolean
  readonly configOnly: boolean
}

/** Adds `tollway check`. */
export function addCheck(program: Command, context: CommandContext): void {
  program
    .command('check')
    .description('check a configuration and show what each route would do')
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option(
      '--online',
      "also ask remote signers and programs that pay, and compare this machine's clock with sellers and nodes",
      false,
    )
    .option(
      '--config-only',
      'look at the configuration alone, not at the keys, files and addresses here',
      false,
    )
    .option('--json', 'print JSON, also for mistakes', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway check
  tollway check --config /etc/tollway/tollway.yaml
  tollway check --config-only
  tollway check --online
  tollway check --json

What tollway serve would refuse on this machine is found too, and ends with 2: a key that is none, a file that cannot be
read or written, an address that is taken. A gateway that runs already with this configuration is only mentioned. Nothing
is changed; --config-only leaves all of it out, for a machine that has neither keys nor files.

Without --online nothing leaves this machine. With it, remote signers are asked for their keys, a running x402-buyer and
AgentCash whether they can pay, and each seller and each node under chains for its time, unpaid. A payer that cannot pay now
is a mistake too. A clock that is wrong by minutes makes sellers refuse payments as expired. For everything else that can be
examined, see tollway doctor.

A configuration:

${EXAMPLE_CONFIG.replace(/^(?=.)/gm, '  ')}${EXIT_CODES_HELP}`,
    )
    .action(async (options: CheckOptions) => {
      const { terminal } = context
      // Imported here so that help and usage errors appear at once.
      const { loadConfigWithText } = await import('../../config/load.ts')
      const { renderCheck, summarize } = await import('../output/check-report.ts')
      const { renderWallets } = await import('../output/check-payers.ts')
      const loaded = loadConfigWithText(options.config, terminal.env)
      const wallets = new Map<string, string>()
      const running = options.configOnly ? [] : await startNotes(loaded, options.online, wallets)
      const files = await filesOf(loaded.config)
      const clocks = options.online ? await clocksOf(loaded.config) : undefined
      terminal.stdout(
        options.json
          ? `${JSON.stringify({ ok: true, ...summarize(loaded, files), wallets: Object.fromEntries(wallets), running, ...(clocks && { clocks: clocks.map(findingJson) }) }, undefined, 2)}\n`
          : [
              renderCheck(options.config, loaded, files),
              ...(wallets.size === 0 ? [] : [renderWallets(loaded.config, wallets)]),
              ...(running.length === 0 ? [] : [running.map((one) => `Note: ${visibleLine(one)}\n`).join('')]),
              ...(clocks ? [renderFindings(clocks)] : []),
            ].join('\n'),
      )
    })
}

/**
 * What `serve` would say on this machine only because a gateway runs already.
 * @param wallets takes the address that each payer pays from
 * @throws ConfigProblemsError for what it would refuse in any case
 */
async function startNotes(
  { config, place }: LoadedConfig,
  isOnline: boolean,
  wallets: Map<string, string>,
): Promise<string[]> {
  const { fullPreflight, refuse } = await import('../../preflight/preflight.ts')
  const faults = await fullPreflight(config, isOnline, wallets)
  refuse(
    faults.filter(({ isRunning }) => !isRunning),
    place,
  )
  return faults.map(({ message }) => message)
}

async function clocksOf(config: ResolvedConfig): Promise<Finding[]> {
  const { examineClocks } = await import('../../doctor/examine-clocks.ts')
  return await examineClocks(config, () => systemClock.now())
}

/** Reads the files of x402-buyer; the code that reads them is imported only if there are any. */
async function filesOf(config: ResolvedConfig): Promise<FilesInspection | undefined> {
  const payers = [...config.payers.values()]
  if (!payers.some((payer) => payer.kind === 'obol' && payer.mode === 'pool' && payer.paths)) return undefined
  const { inspectFiles } = await import('../../obol/inspect-files.ts')
  return await inspectFiles(config, Date.now())
}
