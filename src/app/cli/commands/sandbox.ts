import { Option, type Command } from 'commander'
import type { CommandContext } from '../shared/command-context.ts'
import { EXIT, EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import { wholeNumber } from '../shared/options.ts'

/** Adds `tollway sandbox`. */
export function addSandbox(program: Command, context: CommandContext): void {
  program
    .command('sandbox')
    .description('run a chain, a token, a seller and a gateway on this machine, without real money')
    .option('--once', 'make one paid call, show what happened, and exit', false)
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
  tollway sandbox --block-time 2   settle at the pace of a real chain
${EXIT_CODES_HELP}`,
    )
    .action(async (options: { once: boolean; json: boolean; port?: number; blockTime: number }) => {
      const { terminal } = context
      const stop = new AbortController()
      const forget = terminal.onStopSignal(() => {
        if (stop.signal.aborted) terminal.exit(EXIT.failed)
        stop.abort()
      })
      try {
        const { loadExpress } = await import('../../gateway/load-express.ts')
        await loadExpress()
        const { runSandbox } = await import('../../sandbox/command.ts')
        context.end(
          await runSandbox({
            once: options.once,
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
