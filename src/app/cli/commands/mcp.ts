import type { Command } from 'commander'
import type { AgentSettings } from '../../mcp/agent-pay.ts'
import { usdAmount } from '../shared/buying-options.ts'
import { indexFile } from '../shared/catalogue-options.ts'
import type { CommandContext } from '../shared/command-context.ts'
import { EXIT, EXIT_CODES_HELP } from '../shared/exit-codes.ts'
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
  const { agentServer } = await import('../../mcp/agent-server.ts')
  const config = loadCommandConfig(options.config, terminal.env)
  const settings: AgentSettings = {
    payer: config.payers.size === 0 ? undefined : payingPayer(config, options.payer),
    caller: options.caller,
    approval: { always: options.yes, upTo: options.approveAbove },
    directory: options.outDir,
    allowsPrivate: options.allowPrivate,
    index: indexFile(options),
  }
  // An agent chooses the addresses: none of them may lead into the network of this machine.
  const guarded = { ...config, blockPrivateNetworks: !options.allowPrivate }
  await withBuying(guarded, async (buying) => {
    const server = await agentServer(buying, settings)
    const { StdioServerTransport } = await import('@modelcontextprotocol/sdk/server/stdio.js')
    const closed = new Promise<void>((resolve) => {
      // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK has no other way
      server.server.onclose = resolve
      // The SDK's transport does not notice that its client is gone.
      process.stdin.once('end', resolve)
    })
    await server.connect(new StdioServerTransport())
    terminal.stderr('tollway mcp: serving on standard input and output.\n')
    const stop = terminal.onStopSignal(() => void server.close())
    await closed
    stop()
    await server.close()
  })
  context.end(EXIT.done)
}
