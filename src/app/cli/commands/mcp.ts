import type { Server as McpProtocol } from '@modelcontextprotocol/sdk/server/index.js'
import { InvalidArgumentError, type Command } from 'commander'
import { ConfigError } from '../../../core/errors.ts'
import { silentLog } from '../../../core/log.ts'
import { budgetsOfKey, readCallerKeys } from '../../../io/callers/caller-keys.ts'
import type { BuyingContext } from '../../buying/buying-context.ts'
import type { PayingCaller } from '../../buying/pay.ts'
import type { ResolvedConfig } from '../../config/resolve/resolved.ts'
import { parseListen, type ListenAddress } from '../../config/values/addresses.ts'
import type { AgentSettings } from '../../mcp/agent-pay.ts'
import { usdAmount } from '../shared/buying-options.ts'
import { indexFile } from '../shared/catalogue-options.ts'
import type { CommandContext } from '../shared/command-context.ts'
import { EXIT, EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import type { Terminal } from '../shared/terminal.ts'
import { CONFIG_OPTION, DEFAULT_CONFIG } from '../shared/options.ts'

interface McpOptions {
  readonly config: string
  readonly payer?: string
  readonly caller: string
  readonly yes: boolean
  readonly approveAbove?: bigint
  readonly outDir: string
  readonly allowPrivate: boolean
  readonly index?: string
  readonly listen?: ListenAddress
  readonly host: readonly string[]
  readonly proxy?: string
  readonly maxUsdc?: bigint
}

/** Adds `tollway mcp`. */
export function addMcp(program: Command, context: CommandContext): void {
  program
    .command('mcp')
    .description('serve an agent tools to pay for services, over MCP on standard input and output')
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--payer <name>', 'the payer that pays')
    .option('--caller <id>', 'name of the caller in ledger and budgets', 'agent')
    .option('--yes', 'approve every POST without asking', false)
    .option('--approve-above <amount>', 'ask only for POSTs that may cost more than this, in USD', usdAmount)
    .option('--listen <host:port>', 'serve over HTTP instead, behind the keys of callers', listenAddress)
    .option(
      '--host <name>',
      'with --listen: a host name besides those of this machine; repeatable',
      collect,
      [],
    )
    .option('--proxy <url|command>', 'serve the tools of another MCP server, and pay those that ask for it')
    .option('--max-usdc <amount>', 'with --proxy: the most that one call may cost, in USDC', usdAmount)
    .option('--out-dir <dir>', 'directory for answers that are not text', 'tollway-answers')
    .option(
      '--index <file>',
      'the index of catalogues; tollway-catalog.db beside the configuration file if not given',
    )
    .option('--allow-private', 'also call services on this machine, over http too (for trials)', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway mcp
  tollway mcp --config /etc/tollway/tollway.yaml --caller research --approve-above 0.05
  claude mcp add tollway -- npx tollway mcp
  tollway mcp --listen 127.0.0.1:8410 --config tollway.yaml
  tollway mcp --proxy "npx -y some-mcp-server" --max-usdc 0.02

Tools: agent_pay (one paid call, at most max_usdc), find_services, show_service, wallet_balance, spend_status. A GET within its cap is paid without
asking; a POST asks the person through the client, or is refused if the client cannot ask and neither --yes nor
--approve-above allows it. Without a configuration file, TOLLWAY_WALLET_KEY or REMOTE_SIGNER_URL is enough.
${EXIT_CODES_HELP}`,
    )
    .action(async (options: McpOptions) => {
      await serve(options, context)
    })
}

async function serve(options: McpOptions, context: CommandContext): Promise<void> {
  const { terminal } = context
  // Imported here so that help and usage errors appear at once.
  const { loadCommandConfig } = await import('../../config/command-config.ts')
  const { withBuying } = await import('../../buying/buying-context.ts')
  const { payingPayer } = await import('../../buying/choose-payer.ts')
  if (options.listen !== undefined && options.proxy !== undefined)
    throw new ConfigError(
      '--listen and --proxy exclude each other: a proxy serves one agent, on its standard input and output.',
    )
  const config = loadCommandConfig(options.config, terminal.env)
  const settings: AgentSettings = {
    payer: config.payers.size === 0 ? undefined : payingPayer(config, options.payer),
    caller: callerNamed(config, options.caller),
    approval: { always: options.yes, upTo: options.approveAbove },
    directory: options.outDir,
    allowsPrivate: options.allowPrivate,
    index: indexFile(options),
  }
  // An agent chooses the addresses: none of them may lead into the network of this machine.
  const guarded = { ...config, blockPrivateNetworks: !options.allowPrivate }
  await withBuying(guarded, async (buying) => {
    const { listen, proxy } = options
    if (listen) await serveHttp(buying, settings, { ...options, listen }, config, terminal)
    else if (proxy === undefined) {
      const { agentServer } = await import('../../mcp/agent-server.ts')
      await serveStdio((await agentServer(buying, settings)).server, terminal)
    } else await serveProxy(buying, settings, { ...options, proxy }, terminal)
  })
  context.end(EXIT.done)
}

/** A name that the configuration or the keys file knows comes with its team and limits. */
function callerNamed({ callers, keys }: Pick<ResolvedConfig, 'callers' | 'keys'>, id: string): PayingCaller {
  const key = keys && readCallerKeys(keys.path).find((entry) => entry.id === id)
  if (key) return { id, team: key.team, budgets: budgetsOfKey(key) }
  // The limits of a configured caller are among the configured budgets.
  return { id, team: callers.find((entry) => entry.id === id)?.team }
}

/** Serves one agent, until it or Ctrl-C ends it. */
async function serveStdio(server: McpProtocol, terminal: Terminal): Promise<void> {
  const { StdioServerTransport } = await import('@modelcontextprotocol/sdk/server/stdio.js')
  const closed = new Promise<void>((resolve) => {
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK has no other way
    server.onclose = resolve
    // The SDK's transport does not notice that its client is gone.
    process.stdin.once('end', resolve)
  })
  await server.connect(new StdioServerTransport())
  terminal.stderr('tollway mcp: serving on standard input and output.\n')
  const stop = terminal.onStopSignal(() => void server.close())
  await closed
  stop()
  await server.close()
}

async function serveHttp(
  buying: BuyingContext,
  settings: AgentSettings,
  { listen, host }: Pick<McpOptions, 'host'> & { readonly listen: ListenAddress },
  config: Pick<ResolvedConfig, 'callers' | 'keys' | 'routes' | 'router'>,
  terminal: Terminal,
): Promise<void> {
  if (config.callers.length === 0 && config.keys === undefined)
    throw new ConfigError(
      'tollway mcp --listen pays for whoever reaches it, so it needs the keys of callers. Add callers to the configuration, or keys: { path } and tollway keys add.',
    )
  const { agentHttpServer } = await import('../../mcp/http-server.ts')
  const { openCallers } = await import('../../wiring/open-callers.ts')
  const log = { ...silentLog, error: (_facts: object, message: string) => terminal.stderr(`${message}\n`) }
  const callers = openCallers(config, buying.clock, log)
  const server = await agentHttpServer(buying, settings, {
    listen,
    callers,
    hosts: host,
    routing: { routes: config.routes, aliases: config.router.aliases },
  })
  terminal.stderr(`tollway mcp: serving at ${server.url}\n`)
  await new Promise<void>((resolve) => {
    const stop = terminal.onStopSignal(() => {
      stop()
      resolve()
    })
  })
  await server.close()
}

async function serveProxy(
  buying: BuyingContext,
  settings: AgentSettings,
  { proxy, maxUsdc }: Pick<McpOptions, 'maxUsdc'> & { readonly proxy: string },
  terminal: Terminal,
): Promise<void> {
  const { connectRemote } = await import('../../mcp/connect-remote.ts')
  const { proxyServer } = await import('../../mcp/proxy-tools.ts')
  const { client, place } = await connectRemote(proxy)
  try {
    await serveStdio(await proxyServer(buying, client, { ...settings, place, maxMicro: maxUsdc }), terminal)
  } finally {
    await client.close()
  }
}

function listenAddress(text: string): ListenAddress {
  const found = parseListen(text)
  if (found) return found
  throw new InvalidArgumentError('It must be a host and a port, such as 127.0.0.1:8410.')
}

function collect(text: string, list: readonly string[]): readonly string[] {
  return [...list, text]
}
