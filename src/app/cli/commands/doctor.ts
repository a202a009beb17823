import type { Command } from 'commander'
import { systemClock } from '../../../core/clock.ts'
import { findingJson, renderDoctor } from '../output/doctor-report.ts'
import { interruptible, printJson } from '../shared/buying-options.ts'
import type { CommandContext } from '../shared/command-context.ts'
import { EXIT, EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import { CONFIG_OPTION, DEFAULT_CONFIG } from '../shared/options.ts'

interface Options {
  readonly config: string
  readonly litellm?: string
  readonly offline: boolean
  readonly json: boolean
}

/** Adds `tollway doctor`. */
export function addDoctor(program: Command, context: CommandContext): void {
  const { terminal } = context
  program
    .command('doctor')
    .description('examine an installation: configuration, ledger, wallets, nodes, sellers, clients')
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--litellm <file>', 'also examine this LiteLLM proxy configuration')
    .option('--offline', 'send nothing to nodes, sellers, upstream or gateway', false)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway doctor
  tollway doctor --offline
  tollway doctor --litellm litellm_config.yaml --json

Pays nothing and changes nothing; a running gateway is not disturbed. Sellers are asked their price, unpaid. Exits with 1
when it finds a problem; warnings alone exit with 0.
${EXIT_CODES_HELP}`,
    )
    .action(async (options: Options) => {
      // Imported here so that help and usage errors appear at once.
      const { examine } = await import('../../doctor/doctor.ts')
      const findings = await interruptible(
        terminal,
        (signal) => examine(options, terminal.env, systemClock.now(), signal),
        { message: 'Stopped. Nothing was changed.' },
      )
      const ok = findings.every(({ status }) => status !== 'problem')
      if (options.json)
        printJson(terminal, {
          ok,
          findings: findings.map(findingJson),
        })
      else terminal.stdout(renderDoctor(findings))
      context.end(ok ? EXIT.done : EXIT.failed)
    })
}
