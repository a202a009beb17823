import { randomBytes } from 'node:crypto'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { parseCallerBudget } from '../../../core/budget/caller-budgets.ts'
import { systemClock } from '../../../core/clock.ts'
import { parseInstant } from '../../../core/instant.ts'
import { EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import { CONFIG_OPTION, DEFAULT_CONFIG, wholeNumber } from '../shared/options.ts'
import type { CommandContext } from '../shared/command-context.ts'

interface CommonOptions {
  readonly config: string
  readonly json: boolean
}

interface AddOptions extends CommonOptions {
  readonly models?: readonly string[]
  readonly expires?: number
  readonly requestsPerMinute?: number
  readonly tokensPerMinute?: number
  readonly maxParallel?: number
  readonly team?: string
  readonly budgetUsd?: readonly string[]
}

interface SetOptions extends AddOptions {
  readonly remove?: readonly string[]
}

/** As in the keys file. */
const REMOVABLE = [
  'expires',
  'requests_per_minute',
  'tokens_per_minute',
  'max_parallel_requests',
  'team',
  'budget_usd',
]

const MOST = 999_999_999

const HOT =
  '\nA running gateway applies the change within a second. The change is recorded in a separate audit file next to the one of the gateway (audit.jsonl: audit.cli.jsonl).\n'

/** Adds `tollway keys` and its commands. */
export function addKeys(program: Command, context: CommandContext): void {
  const keys = program
    .command('keys')
    .description('create, change, list and revoke caller keys')
    .addHelpText(
      'after',
      `
Examples:
  tollway keys add openclaw --models "paid/*"
  tollway keys set openclaw --budget-usd 5/day
  tollway keys list
  tollway keys revoke openclaw
${EXIT_CODES_HELP}`,
    )
  addAdd(keys, context)
  addSet(keys, context)
  addList(keys, context)
  addRevoke(keys, context)
}

/** The limits that a key can have, as options of `add` and `set`. */
function withLimits(command: Command): Command {
  return command
    .option('--requests-per-minute <n>', 'limit on model requests per minute', wholeNumber(1, MOST))
    .option('--tokens-per-minute <n>', 'limit on output tokens per minute', wholeNumber(1, MOST))
    .option('--max-parallel <n>', 'limit on simultaneous model requests', wholeNumber(1, MOST))
    .option('--budget-usd <limits...>', 'what it may spend per window, such as 5/day or 0.50/24h', budgets)
    .option('--team <name>', 'team whose budgets it shares', team)
}

function addAdd(keys: Command, { terminal }: CommandContext): void {
  withLimits(
    keys
      .command('add')
      .description('create a key; it is shown once, and only its digest is stored')
      .argument('<id>', 'name of the caller in budgets, metrics and records')
      .option('-m, --models <names...>', 'models it may use, exact or with one * (default: all)')
      .option('-e, --expires <date>', 'expiry: a date, or a time with zone', instant),
  )
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway keys add openclaw
  tollway keys add ci --budget-usd 1/day 20/month --team search
  tollway keys add intern --models "paid/*" gpt-4o --expires 2027-01-31 --requests-per-minute 60
${HOT}${EXIT_CODES_HELP}`,
    )
    .action(async (id: string, options: AddOptions) => {
      const { config, json, keys: work } = await load(options, terminal.env, true)
      const { config: _config, json: _json, ...limits } = options
      const request = { id, ...limits }
      const { entry, key } = await work.addKey(config, request, systemClock, randomBytes)
      terminal.stdout(
        options.json
          ? `${JSON.stringify({ ...json.keyJson(entry), key }, undefined, 2)}\n`
          : `${key}\n\nThis is the key of "${id}". It is shown only once: store it in the settings of the caller.\n`,
      )
    })
}

function addSet(keys: Command, { terminal }: CommandContext): void {
  withLimits(
    keys
      .command('set')
      .description('change what a caller may do; its key stays')
      .argument('<id>', 'name of the caller')
      .option('-m, --models <names...>', 'models it may use, exact or with one *')
      .option('-e, --expires <date>', 'expiry: a date, or a time with zone', instant),
  )
    .addOption(new Option('--remove <terms...>', 'take limits away again').choices(REMOVABLE))
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway keys set ci --budget-usd 2/day
  tollway keys set intern --models gpt-4o --remove expires requests_per_minute
${HOT}${EXIT_CODES_HELP}`,
    )
    .action(async (id: string, options: SetOptions) => {
      const { config, json, keys: work } = await load(options, terminal.env, true)
      const { config: _config, json: _json, remove = [], ...terms } = options
      const entry = await work.changeKey(config, { id, ...terms }, remove, systemClock)
      terminal.stdout(
        options.json
          ? `${JSON.stringify(json.keyJson(entry), undefined, 2)}\n`
          : `Changed what "${id}" may do.\n`,
      )
    })
}

function addList(keys: Command, { terminal }: CommandContext): void {
  keys
    .command('list')
    .description('list the callers with keys and what each may use')
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway keys list
  tollway keys list --json
${EXIT_CODES_HELP}`,
    )
    .action(async (options: CommonOptions) => {
      const { config, report, json, keys: work } = await load(options, terminal.env, false)
      const known = work.listKeys(config)
      terminal.stdout(
        options.json
          ? `${JSON.stringify(known.map(json.keyJson), undefined, 2)}\n`
          : report.renderKeys(known, systemClock.now()),
      )
    })
}

function addRevoke(keys: Command, { terminal }: CommandContext): void {
  keys
    .command('revoke')
    .description("revoke a caller's key")
    .argument('<id>', 'name of the caller')
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway keys revoke openclaw
${HOT}${EXIT_CODES_HELP}`,
    )
    .action(async (id: string, options: CommonOptions) => {
      const { config, keys: work } = await load(options, terminal.env, true)
      await work.revokeKey(config, id, systemClock)
      terminal.stdout(
        options.json
          ? `${JSON.stringify({ id, revoked: true }, undefined, 2)}\n`
          : `Revoked the key of "${id}".\n`,
      )
    })
}

function instant(text: string): number {
  const time = parseInstant(text)
  if (time !== undefined) return time
  throw new InvalidArgumentError(
    'It must be a date such as 2027-01-31, or a time with its zone such as 2027-01-31T12:00:00Z.',
  )
}

function budgets(text: string, before: readonly string[] = []): readonly string[] {
  if (parseCallerBudget(text) !== undefined) return [...before, text]
  throw new InvalidArgumentError('It must be USD and a window, such as 5/day, 0.50/24h or 20/month.')
}

function team(text: string): string {
  if (/^[A-Za-z0-9._-]{1,64}$/.test(text)) return text
  throw new InvalidArgumentError('It must be 1 to 64 letters, digits, dots, dashes or underscores.')
}

/** Imported late so that help and usage errors appear at once. Changes are audited, and audit records may be signed. */
async function load(options: CommonOptions, env: CommandContext['terminal']['env'], isWriting: boolean) {
  const { loadConfigForReading } = await import('../../config/load.ts')
  return {
    config: loadConfigForReading(options.config, env, isWriting ? ['audit'] : []),
    report: await import('../output/keys-report.ts'),
    json: await import('../../operations/key-json.ts'),
    keys: await import('../../operations/caller-keys.ts'),
  }
}
