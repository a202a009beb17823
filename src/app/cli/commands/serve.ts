import type { Command } from 'commander'
import type { Provider } from '../../../core/payer/provider.ts'
import type { LoadedConfig } from '../../config/load.ts'
import type { ResolvedConfig } from '../../config/resolve/resolved.ts'
import type { Gateway } from '../../gateway/gateway.ts'
import { banner, type ServedAddresses } from '../output/serve-banner.ts'
import type { CommandContext } from '../shared/command-context.ts'
import { EXIT, EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import type { Terminal } from '../shared/terminal.ts'
import { addObolFlags, obolConfig, openListen, openWarning, type ObolFlags } from '../shared/obol-flags.ts'
import { CONFIG_OPTION, DEFAULT_CONFIG } from '../shared/options.ts'

/** The part of a gateway that `serve` uses. */
export interface ServedGateway {
  listen(): Promise<ServedAddresses>
  /** Tells load balancers that it is about to close, and gives them a moment. */
  drain?(): Promise<void>
  close(): Promise<void>
  /** Reads the configuration again; the log says what came of it. */
  reload?(config: undefined, cause: 'signal'): Promise<unknown>
  /** A line for whoever starts it. */
  readonly note?: string | undefined
  readonly parts?:
    | { readonly payers: ReadonlyMap<string, Pick<Provider, 'address' | 'networks'>> }
    | undefined
}

interface ServeFlags extends ObolFlags {
  readonly config: string
  readonly obol?: boolean | undefined
  readonly blockrun?: boolean | undefined
}

/** Adds `tollway serve`. */
export function addServe(program: Command, context: CommandContext): void {
  const command = program
    .command('serve')
    .description('run the gateway until it is stopped')
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('-l, --listen <host:port>', 'address to listen on, instead of the one in the file')
    .option(
      '--blockrun',
      'replace blockrun-openclaw-proxy: reads its environment variables and uses its port',
    )
    .addHelpText(
      'after',
      `
Examples:
  tollway serve
  tollway serve --config /etc/tollway/tollway.yaml
  tollway serve --listen 127.0.0.1:9000
  tollway serve --obol --config-dir ./buyer-config --auths-dir ./buyer-auths --state ./consumed.json
  BLOCKRUN_DRY_RUN=1 tollway serve --blockrun

The first SIGTERM or Ctrl-C lets running requests finish; the second exits at once. SIGHUP reads the configuration again,
as tollway reload does.
${EXIT_CODES_HELP}`,
    )
    .action(async (options: ServeFlags) => {
      if (options.blockrun === true) return context.end(await serveBlockrun(command, context.terminal))
      // Imported here so that help and usage errors appear at once.
      const { loadConfigWithText, parseConfig } = await import('../../config/load.ts')
      const { env } = context.terminal
      const ownFile = command.getOptionValueSource('config') === 'default'
      const load = (again: boolean): LoadedConfig =>
        loadConfigWithText(options.config, env, { listen: options.listen, again })
      const flags = { ...options, config: ownFile ? undefined : options.config }
      const isObol = options.obol === true
      const open = isObol ? openListen(flags, env) : undefined
      if (open) context.terminal.stderr(openWarning(options.listen ?? ''))
      const fromFlags = (again: boolean): ResolvedConfig => {
        const fixed = parseConfig(obolConfig(flags, env, '.'), env, { again })
        return open ? { ...fixed, listen: open } : fixed
      }
      const config = isObol ? fromFlags(false) : await startable(load(false), context.terminal)
      const readConfig = (): ResolvedConfig =>
        isObol ? fromFlags(true) : forReader(load(true), context.terminal)
      const { createGateway } = await import('../../gateway/gateway.ts')
      const start = async (from: ResolvedConfig): Promise<Gateway> =>
        await createGateway(from, { readConfig })
      context.end(await serve(config, start, context.terminal))
    })
  addObolFlags(command)
}

/** The configuration, unless this machine keeps it from starting. @throws ConfigProblemsError listing every reason */
async function startable(loaded: LoadedConfig, terminal: Terminal): Promise<ResolvedConfig> {
  const { preflight, refuse } = await import('../../preflight/preflight.ts')
  refuse(await preflight(loaded.config), loaded.place)
  return forReader(loaded, terminal)
}

/** A person at a terminal reads lines of text, unless the file chooses a format. */
function forReader({ config, written }: LoadedConfig, terminal: Terminal): ResolvedConfig {
  const isText = terminal.isInteractive === true && written(['log', 'format']) === undefined
  return isText ? { ...config, log: { ...config.log, format: 'text' } } : config
}

/** `--blockrun` reads everything from the environment, so it cannot be combined with other options. */
async function serveBlockrun(command: Command, terminal: Terminal): Promise<number> {
  const other = ['config', 'listen', 'obol'].find((name) => command.getOptionValueSource(name) === 'cli')
  if (other !== undefined) {
    command.error(`error: --blockrun reads all settings from the environment. Remove --${other}.`)
  }
  const { openBlockrun } = await import('../../blockrun/open.ts')
  return await serve(terminal.env, openBlockrun, terminal)
}

/**
 * Serves until the first stop signal, then closes; a second signal ends the process at once with 1.
 * @returns the exit code
 */
export async function serve<T = ResolvedConfig>(
  config: T,
  open: (config: T) => Promise<ServedGateway>,
  terminal: Terminal,
): Promise<number> {
  const stop = Promise.withResolvers<void>()
  let signals = 0
  const forget = terminal.onStopSignal(() => {
    signals += 1
    if (signals > 1) terminal.exit(EXIT.failed)
    stop.resolve()
  })
  // Before the gateway is open there is nothing to read again, and the signal must not end the process.
  let reload = (): void => undefined
  const forgetReload = terminal.onReloadSignal?.(() => reload())
  try {
    const gateway = await open(config)
    // What went wrong is in the log.
    reload = () => void gateway.reload?.(undefined, 'signal').catch(() => undefined)
    try {
      const addresses = await gateway.listen()
      terminal.stdout(`tollway is ready at ${addresses.url}/v1\n`)
      if (gateway.note !== undefined) terminal.stdout(`${gateway.note}\n`)
      if (terminal.isInteractive === true) terminal.stdout(banner(addresses, gateway.parts?.payers))
      await stop.promise
      await gateway.drain?.()
    } finally {
      await gateway.close()
    }
    terminal.stdout('tollway has stopped; every payment is recorded\n')
    return EXIT.done
  } finally {
    forget()
    forgetReload?.()
  }
}
