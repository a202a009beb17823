import { randomBytes } from 'node:crypto'
import { InvalidArgumentError, type Command } from 'commander'
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
}

const MOST = 999_999_999

const HOT =
  '\nA running gateway applies the change within a second. It is recorded in an audit file of its own beside the audit file of the gateway (audit.jsonl: audit.cli.jsonl).\n'

/** Adds `tollway keys` and its commands. */
export function addKeys(program: Command, context: CommandContext): void {
  const keys = program
    .command('keys')
    .description('create, list and revoke caller keys')
    .addHelpText(
      'after',
      `
Examples:
  tollway keys add openclaw --models "paid/*"
  tollway keys list
  tollway keys revoke openclaw
${EXIT_CODES_HELP}`,
    )
  addAdd(keys, context)
  addList(keys, context)
  addRevoke(keys, context)
}

function addAdd(keys: Command, { terminal }: CommandContext): void {
  keys
    .command('add')
    .description('create a key; it is shown once, and only its digest is stored')
    .argument('<id>', 'a name for the caller, in budgets, metrics and records')
    .option('-m, --models <names...>', 'the models it may use, exact or with one *; all without it')
    .option('-e, --expires <date>', 'when it ends: a date, or a time with zone', instant)
    .option('--requests-per-minute <n>', 'most model requests in a minute', wholeNumber(1, MOST))
    .option('--tokens-per-minute <n>', 'most tokens of answers in a minute', wholeNumber(1, MOST))
    .option('--max-parallel <n>', 'most model requests under way at once', wholeNumber(1, MOST))
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway keys add openclaw
  tollway keys add intern --models "paid/*" gpt-4o --expires 2027-01-31 --requests-per-minute 60
${HOT}${EXIT_CODES_HELP}`,
    )
    .action(async (id: string, options: AddOptions) => {
      const { config, report, keys: work } = await load(options, terminal.env, true)
      const { models, expires, requestsPerMinute, tokensPerMinute, maxParallel } = options
      const wish = { id, models, expires, requestsPerMinute, tokensPerMinute, maxParallel }
      const { entry, key } = await work.addKey(config, wish, systemClock, randomBytes)
      terminal.stdout(
        options.json
          ? `${JSON.stringify({ ...report.keyJson(entry), key }, undefined, 2)}\n`
          : `${key}\n\nThis is the key of "${id}". It is shown this once: put it where the caller reads it.\n`,
      )
    })
}

function addList(keys: Command, { terminal }: CommandContext): void {
  keys
    .command('list')
    .description('list the callers that have keys, and what each may use')
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
      const { config, report, keys: work } = await load(options, terminal.env, false)
      const known = work.listKeys(config)
      terminal.stdout(
        options.json
          ? `${JSON.stringify(known.map(report.keyJson), undefined, 2)}\n`
          : report.renderKeys(known, systemClock.now()),
      )
    })
}

function addRevoke(keys: Command, { terminal }: CommandContext): void {
  keys
    .command('revoke')
    .description("revoke a caller's key")
    .argument('<id>', 'the name of the caller')
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

/** Loaded late, so that help and usage errors come at once. Changes are recorded, and records are signed. */
async function load(options: CommonOptions, env: CommandContext['terminal']['env'], isWriting: boolean) {
  const { loadConfigForReading } = await import('../../config/load.ts')
  return {
    config: loadConfigForReading(options.config, env, isWriting ? ['audit'] : []),
    report: await import('../output/keys-report.ts'),
    keys: await import('../../operations/caller-keys.ts'),
  }
}
