import type { Command } from 'commander'
import { systemClock } from '../../../core/clock.ts'
import type { Finding } from '../../doctor/finding.ts'
import { findingJson, renderFindings } from '../output/doctor-report.ts'
import { EXAMPLE_CONFIG } from '../shared/example-config.ts'
import type { ResolvedConfig } from '../../config/resolve/resolved.ts'
import type { FilesInspection } from '../../obol/inspect-files.ts'
import { EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import { CONFIG_OPTION, DEFAULT_CONFIG } from '../shared/options.ts'
import type { CommandContext } from '../shared/command-context.ts'

/** Adds `tollway check`. */
export function addCheck(program: Command, context: CommandContext): void {
  program
    .command('check')
    .description('check a configuration and show what each route would do')
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--online', "also compare this machine's clock with sellers and nodes", false)
    .option('--json', 'print JSON, also for mistakes', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway check
  tollway check --config /etc/tollway/tollway.yaml
  tollway check --online
  tollway check --json

Without --online nothing is sent anywhere. With it, each seller and each node under chains is asked for its time, unpaid:
a clock that is wrong by minutes makes sellers refuse payments as expired. For everything else that can be examined, see
tollway doctor.

A configuration:

${EXAMPLE_CONFIG.replace(/^(?=.)/gm, '  ')}${EXIT_CODES_HELP}`,
    )
    .action(async (options: { config: string; json: boolean; online: boolean }) => {
      const { terminal } = context
      // Imported here so that help and usage errors appear at once.
      const { loadConfigWithText } = await import('../../config/load.ts')
      const { renderCheck, summarize } = await import('../output/check-report.ts')
      const loaded = loadConfigWithText(options.config, terminal.env)
      const files = await filesOf(loaded.config)
      const clocks = options.online ? await clocksOf(loaded.config) : undefined
      terminal.stdout(
        options.json
          ? `${JSON.stringify({ ok: true, ...summarize(loaded, files), ...(clocks && { clocks: clocks.map(findingJson) }) }, undefined, 2)}\n`
          : [renderCheck(options.config, loaded, files), ...(clocks ? [renderFindings(clocks)] : [])].join(
              '\n',
            ),
      )
    })
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
