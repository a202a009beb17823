import { resolve } from 'node:path'
import { Option, type Command } from 'commander'
import { ConfigError } from '../../../core/errors.ts'
import type { ResolvedConfig } from '../../config/resolve/resolved.ts'
import type { GatewayModels } from '../../init/gateway-models.ts'
import { OPENCLAW_KINDS, type OpenclawKind } from '../../init/openclaw-entry.ts'
import { addStarter } from './init-starter.ts'
import { EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import { CONFIG_OPTION, DEFAULT_CONFIG } from '../shared/options.ts'
import type { CommandContext } from '../shared/command-context.ts'

const URL_OPTION = [
  '--url <url>',
  'address of the gateway as the other program reaches it (default: its listen address)',
] as const
const KEY_OPTION = [
  '--key-variable <name>',
  'environment variable from which the other program reads the caller key',
] as const
const DEFAULT_KEY = 'TOLLWAY_KEY'

interface OpenclawOptions {
  readonly config: string
  readonly url?: string
  readonly keyVariable: string
  readonly kind: OpenclawKind
  readonly provider: string
  readonly primary?: string
  readonly offline: boolean
  readonly file?: string
  readonly write: boolean
  readonly replace: boolean
  readonly undo: boolean
  readonly force: boolean
  readonly json: boolean
}

/** Adds `tollway init`. */
export function addInit(program: Command, context: CommandContext): void {
  const init = program
    .command('init')
    .description('make a wallet and a configuration, or set up openclaw, litellm, systemd or prometheus')
    .addHelpText(
      'after',
      `
Examples:
  tollway init
  tollway init --seller https://seller.example.com/v1 --daily-usd 5 --yes
  tollway init --sandbox --yes && tollway sandbox --config tollway.yaml --call
  tollway init openclaw --write
  tollway init litellm --file config.yaml --write
  tollway init systemd | sudo tee /etc/systemd/system/tollway.service
  tollway init prometheus
${EXIT_CODES_HELP}`,
    )
  addStarter(init, context)
  addOpenclaw(init, context)
  addLitellm(init, context)
  addSystemd(init, context)
  addPrometheus(init, context)
}

function addOpenclaw(init: Command, { terminal }: CommandContext): void {
  init
    .command('openclaw')
    .description("show OpenClaw's entry for this gateway, or write it to OpenClaw's configuration")
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option(...URL_OPTION)
    .option(...KEY_OPTION, DEFAULT_KEY)
    .addOption(
      new Option('--kind <kind>', 'an entry with the models, the litellm preset, or the clawrouter contract')
        .choices(OPENCLAW_KINDS)
        .default('provider'),
    )
    .option('--provider <name>', 'name of the entry with --kind provider', 'tollway')
    .option('--primary <model>', 'also make this the default model of new conversations')
    .option('--offline', 'ask no seller for the models behind a pattern such as paid/*', false)
    .option('--file <file>', "OpenClaw's configuration file (default: OpenClaw's own location)")
    .option('--write', 'write the entry to the file; a backup copy of the file is kept', false)
    .option('--replace', 'with --write: replace existing settings', false)
    .option('--undo', 'restore the settings from before --write', false)
    .option('--force', 'with --undo: restore even if the file was changed since', false)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway init openclaw                                         show the entry
  tollway init openclaw --write --primary paid/qwen             write it, and use it for new conversations
  tollway init openclaw --kind clawrouter --write               with catalog, usage and identity
  tollway init openclaw --undo                                  remove it again

The entry names the environment variable of the caller key and never contains the key.
${EXIT_CODES_HELP}`,
    )
    .action(async (options: OpenclawOptions) => {
      const { openclawFile, removeSettings, writeSettings } = await import('../../init/openclaw.ts')
      const { openclawSettings } = await import('../../init/openclaw-entry.ts')
      const { systemClock } = await import('../../../core/clock.ts')
      const file = options.file ?? openclawFile(terminal.env)
      if (options.undo) {
        const result = removeSettings(file, options.force, systemClock)
        const said = result.changed
          ? `Restored the earlier settings of ${result.file}. ${result.backup === undefined ? 'Nothing of tollway is left.' : `It was edited since, so copies are kept; the newest: ${result.backup}.`}`
          : `There is nothing to undo in ${result.file}.`
        terminal.stdout(options.json ? `${JSON.stringify(result, undefined, 2)}\n` : `${said}\n`)
        return
      }
      const { loadConfigForReading } = await import('../../config/load.ts')
      const config = loadConfigForReading(options.config, terminal.env)
      const url = options.url ?? addressOf(config)
      const models = await modelsFor(options, config)
      const settings = openclawSettings(config, { ...options, url }, models.names)
      for (const pattern of models.unlisted)
        terminal.stderr(
          `Note: no list of models for ${pattern}; add those you use to model_list by name, or use --kind clawrouter.\n`,
        )
      if (!options.write) {
        const { applySettings } = await import('../../init/json-settings.ts')
        terminal.stdout(
          options.json
            ? `${JSON.stringify({ file, settings }, undefined, 2)}\n`
            : applySettings('', settings, false).text,
        )
        return
      }
      const result = writeSettings(file, settings, options.replace, systemClock)
      const lines = result.changed
        ? [
            `Set ${settings.map(({ path }) => path.join('.')).join(' and ')} in ${result.file}.`,
            ...(result.backup === undefined ? [] : [`Backup: ${result.backup}`]),
            'To undo: tollway init openclaw --undo',
          ]
        : [`${result.file} already has these settings.`]
      terminal.stdout(options.json ? `${JSON.stringify(result, undefined, 2)}\n` : `${lines.join('\n')}\n`)
    })
}

/** The models to list, the default one among them. @throws ConfigError for a default one that nothing serves */
async function modelsFor(
  { kind, primary, offline }: OpenclawOptions,
  config: ResolvedConfig,
): Promise<GatewayModels> {
  // The other kinds ask the gateway themselves.
  if (kind !== 'provider' && primary === undefined) return { names: [], unlisted: [] }
  const { assertServed, gatewayModels } = await import('../../init/gateway-models.ts')
  const models = await gatewayModels(config, !offline, Date.now())
  if (primary === undefined) return models
  assertServed(primary, config, models)
  return {
    names: [...new Set([...models.names, primary])],
    unlisted: kind === 'provider' ? models.unlisted : [],
  }
}

interface LitellmOptions {
  readonly config: string
  readonly url?: string
  readonly keyVariable: string
  readonly file?: string
  readonly write: boolean
}

function addLitellm(init: Command, { terminal }: CommandContext): void {
  init
    .command('litellm')
    .description("print the paid models as a file for LiteLLM's include, or merge them into its config.yaml")
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option(...URL_OPTION)
    .option(...KEY_OPTION, DEFAULT_KEY)
    .option('--file <file>', "LiteLLM's config.yaml: print it with the entries merged in")
    .option('--write', 'with --file: write it; a backup copy of the file is kept', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway init litellm > tollway-models.yaml              then add to config.yaml: include: [tollway-models.yaml]
  tollway init litellm --file config.yaml --write         or merge them; entries and comments are kept
  tollway init litellm --url http://gateway.internal:8402

LiteLLM reads the real cost of each answer from its header x-litellm-response-cost, and books it to its own key and team.
For budgets per team in Tollway, give each team a caller and an entry with its key, or let clients send x-tollway-tags.
${EXIT_CODES_HELP}`,
    )
    .action(async (options: LitellmOptions) => {
      const { loadConfigForReading } = await import('../../config/load.ts')
      const { litellmEntries, litellmFragment, mergeLitellm, writeLitellm } =
        await import('../../init/litellm.ts')
      const config = loadConfigForReading(options.config, terminal.env)
      const entries = litellmEntries(config, options.url ?? addressOf(config), options.keyVariable)
      if (options.file === undefined) {
        if (options.write) throw new ConfigError("--write needs --file, the path of LiteLLM's config.yaml.")
        return terminal.stdout(litellmFragment(entries))
      }
      if (!options.write) {
        const { readFileSync, existsSync } = await import('node:fs')
        const before = existsSync(options.file) ? readFileSync(options.file, 'utf8') : ''
        return terminal.stdout(mergeLitellm(before, entries).text)
      }
      const { systemClock } = await import('../../../core/clock.ts')
      const { added, backup, changed } = writeLitellm(options.file, entries, systemClock)
      const lines = changed
        ? [
            added.length > 0
              ? `Added ${added.join(', ')} to model_list in ${options.file}.`
              : `Set the settings of the paid models in ${options.file}.`,
            ...(backup === undefined ? [] : [`Backup: ${backup}`]),
          ]
        : [`${options.file} already has these entries.`]
      terminal.stdout(`${lines.join('\n')}\n`)
    })
}

function addSystemd(init: Command, { terminal }: CommandContext): void {
  init
    .command('systemd')
    .description('print a systemd unit that runs the gateway')
    .option('-c, --config <file>', 'the configuration file on that machine', '/etc/tollway/tollway.yaml')
    .option('--program <path>', 'the program to run (default: this one)')
    .addHelpText(
      'after',
      `
Examples:
  tollway init systemd | sudo tee /etc/systemd/system/tollway.service
${EXIT_CODES_HELP}`,
    )
    .action(async (options: { config: string; program?: string }) => {
      const { ownProgram, programNote, systemdSnippet } = await import('../../init/snippets.ts')
      const config = resolve(options.config)
      const program = options.program === undefined ? ownProgram() : [resolve(options.program)]
      for (const path of [config, ...program]) {
        if (/[\s"'\\%$]/.test(path)) {
          throw new ConfigError(`systemd needs paths without spaces, quotes, % and $, not ${path}.`)
        }
      }
      const note = programNote(program)
      if (note !== undefined) terminal.stderr(`Note: ${note}\n`)
      terminal.stdout(systemdSnippet(config, program.join(' ')))
    })
}

function addPrometheus(init: Command, { terminal }: CommandContext): void {
  init
    .command('prometheus')
    .description('print what prometheus.yml needs to scrape the gateway and load its rules')
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--target <host:port>', 'where Prometheus reaches /metrics (default: its listen address)')
    .addHelpText(
      'after',
      `
Examples:
  tollway init prometheus
  tollway init prometheus --target gateway.internal:9464

The alert rules and the Grafana dashboards come with this package: docs/dashboards.md.
${EXIT_CODES_HELP}`,
    )
    .action(async (options: { config: string; target?: string }) => {
      const { loadConfigForReading } = await import('../../config/load.ts')
      const { prometheusSnippet } = await import('../../init/snippets.ts')
      const { rulesDirectory } = await import('../../init/rules-directory.ts')
      const config = loadConfigForReading(options.config, terminal.env)
      const target =
        options.target ??
        addressOf({ listen: config.metrics.listen ?? config.listen }).slice('http://'.length)
      terminal.stdout(prometheusSnippet(target, rulesDirectory(), config.metrics.tokenDigest !== undefined))
    })
}

/** The gateway's root address for programs on the same machine. */
function addressOf({ listen }: Pick<ResolvedConfig, 'listen'>): string {
  if (listen.port === 0)
    throw new ConfigError('listen uses port 0 (any free port). Give the address with --url.')
  const everywhere = listen.host === '0.0.0.0' || listen.host === '[::]' || listen.host === '::'
  return `http://${everywhere ? '127.0.0.1' : listen.host}:${listen.port}`
}
