import type { Command } from 'commander'
import { property } from '../../../../core/property.ts'
import { EXIT_CODES_HELP } from '../../shared/exit-codes.ts'
import { CONFIG_OPTION, DEFAULT_CONFIG } from '../../shared/options.ts'
import type { CommandContext } from '../../shared/command-context.ts'

interface ReloadOptions {
  readonly config: string
  readonly url?: string
  readonly json: boolean
}

/** Adds `tollway reload`. */
export function addReload(program: Command, { terminal }: CommandContext): void {
  program
    .command('reload')
    .description('let the running gateway read its configuration again')
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--url <address>', 'address of the gateway, if it is not the one in the file')
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway reload
  tollway reload --config /etc/tollway/tollway.yaml --json
  kill -HUP <pid>     the same without the admin key; the log says what came of it

Routes, budgets, callers and policy apply at once, all of them or none: a mistake changes nothing, and neither does a key
that needs a restart (a port, the ledger, the audit file, a payer). Running requests finish under the old configuration.
${EXIT_CODES_HELP}`,
    )
    .action(async (options: ReloadOptions) => {
      // Imported here so that help and usage errors appear at once.
      const { loadConfigWithText } = await import('../../../config/load.ts')
      const { askGateway, gatewayOf } = await import('../../../operations/ask-gateway.ts')
      const loaded = loadConfigWithText(options.config, terminal.env)
      const gateway = gatewayOf(options.config, loaded, terminal.env, options.url)
      const result = await askGateway(gateway, { method: 'POST', path: '/admin/reload' })
      terminal.stdout(options.json ? `${JSON.stringify(result, undefined, 2)}\n` : render(result))
    })
}

function render(result: unknown): string {
  const changed = property(result, 'changed')
  if (!Array.isArray(changed) || changed.length === 0) return 'The configuration says the same as before.\n'
  return `The configuration was reloaded. It differs in:\n${changed.map((key) => `  ${String(key)}\n`).join('')}`
}
