import { Option, type Command } from 'commander'
import { ConfigError } from '../../../core/errors.ts'
import type { ResolvedConfig } from '../../config/resolve/resolved.ts'
import type { Terminal } from '../shared/terminal.ts'
import type { CommandContext } from '../shared/command-context.ts'
import { EXIT, EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import { wholeNumber } from '../shared/options.ts'

interface SandboxOptions {
  readonly once: boolean
  readonly call: boolean
  readonly json: boolean
  readonly config?: string
  readonly port?: number
  readonly blockTime: number
}

/** Adds `tollway sandbox`. */
export function addSandbox(program: Command, context: CommandContext): void {
  program
    .command('sandbox')
    .description('run a chain, a token, a seller and a gateway on this machine, without real money')
    .option('--once', 'make one paid call, show what happened, and exit', false)
    .option(
      '--call',
      'make one paid call first, and keep running: the spend page has something to show',
      false,
    )
    .option('--config <file>', 'run with a configuration that tollway init --sandbox made')
    .option('--json', 'print JSON', false)
    .option('-p, --port <n>', 'port of the gateway (default: 8402 or a free one)', wholeNumber(0, 65_535))
    .addOption(
      new Option('--block-time <seconds>', 'seconds between blocks; 0 mines one block per transaction')
        .argParser(wholeNumber(0, 3600))
        .default(0, '0s'),
    )
    .addHelpText(
      'after',
      `
Examples:
  tollway sandbox                  keep it running and point a client at it
  tollway sandbox --once --json    one paid call, as a check
  tollway sandbox --config tollway.yaml --call
  tollway sandbox --block-time 2   settle at the pace of a real chain
${EXIT_CODES_HELP}`,
    )
    .action(async (options: SandboxOptions) => {
      const { terminal } = context
      const stop = new AbortController()
      const forget = terminal.onStopSignal(() => {
        if (stop.signal.aborted) terminal.exit(EXIT.failed)
        stop.abort()
      })
      try {
        const { loadExpress } = await import('../../gateway/load-express.ts')
        await loadExpress()
        const own = await ownConfiguration(options, terminal)
        const { runSandbox } = await import('../../sandbox/command.ts')
        context.end(
          await runSandbox({
            once: options.once,
            call: options.call,
            own,
            json: options.json,
            port: options.port,
            blockTimeSeconds: options.blockTime,
            stdout: (text: string) => terminal.stdout(text),
            signal: stop.signal,
          }),
        )
      } finally {
        forget()
      }
    })
}

/** The configuration that `--config` names, with the reasons why it cannot start here. */
async function ownConfiguration(
  { config: file, port }: SandboxOptions,
  terminal: Terminal,
): Promise<{ readonly file: string; readonly config: ResolvedConfig } | undefined> {
  if (file === undefined) return undefined
  if (port !== undefined) throw new ConfigError('--port goes without --config: the file says listen.')
  const { loadConfigWithText } = await import('../../config/load.ts')
  const { preflight, refuse } = await import('../../preflight/preflight.ts')
  const loaded = loadConfigWithText(file, terminal.env)
  refuse(await preflight(loaded.config), loaded.place)
  return { file, config: loaded.config }
}
