import { InvalidArgumentError, Option, type Command } from 'commander'
import { isTimezone } from '../../../core/budget/window.ts'
import type { PeriodUnit } from '../../report/period.ts'
import { dimensionOf, DIMENSIONS, type Dimension } from '../../report/spending.ts'
import { EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import { CONFIG_OPTION, DEFAULT_CONFIG, wholeNumber } from '../shared/options.ts'
import type { CommandContext } from '../shared/command-context.ts'
import { unknownName } from '../../../io/names/nearest-name.ts'

interface Flags {
  readonly config: string
  readonly back: number
  readonly from?: string
  readonly to?: string
  readonly by: readonly Dimension[]
  readonly timezone: string
  readonly policy?: string
  readonly flags: boolean
  readonly csv: boolean
  readonly json: boolean
}

/** Adds `tollway report`. */
export function addReport(program: Command, context: CommandContext): void {
  program
    .command('report')
    .description('report spending, or what another policy would have allowed')
    .argument('[period]', 'the current day, week or month', unitArgument, 'month')
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--back <n>', 'go back this many periods', wholeNumber(0, 10_000), 0)
    .option('--from <date>', 'start at this date or time (ISO 8601), instead of a period')
    .option('--to <date>', 'end with this date, or at this time')
    .option(
      '--by <list>',
      `group by these, separated by commas: ${DIMENSIONS.join(', ')}, tag.<name>`,
      dimensionsOption,
      dimensionsOption('route'),
    )
    .option('--timezone <name>', 'time zone in which days, weeks and months begin', timezoneOption, 'UTC')
    .option(
      '--policy <file>',
      'apply the limits of this configuration: what they would have refused and allowed',
    )
    .addOption(
      new Option('--flags', 'list the payments that need a look, one by one, with the reason')
        .default(false)
        .conflicts('policy'),
    )
    .addOption(new Option('--csv', 'print CSV').default(false).conflicts('json'))
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway report
  tollway report week --by caller,model
  tollway report month --back 1 --by day,route --csv
  tollway report --by tag.agent
  tollway report --from 2026-11-01 --to 2026-11-15 --timezone Europe/Berlin --json
  tollway report week --flags
  tollway report --policy stricter.yaml

Only reads the ledger: a running gateway is not disturbed. A payment belongs to the time of its reservation and counts
in full until its outcome is known. For \`upto\` payments only the amount proven on chain counts. Tokens are counted for
answers that reported their usage.
${EXIT_CODES_HELP}`,
    )
    .action(async (unit: PeriodUnit, options: Flags) => {
      // Imported here so that help and usage errors appear at once.
      const { loadConfigForReading } = await import('../../config/load.ts')
      const { readLedger } = await import('../../../io/ledger/open-store.ts')
      const { periodOf } = await import('../../report/period.ts')
      const { env } = context.terminal
      const { store } = loadConfigForReading(options.config, env)
      const policy = options.policy === undefined ? undefined : loadConfigForReading(options.policy, env)
      const { timezone, back, from, to } = options
      const period = periodOf({ unit, back, from, to, timezone }, Date.now())
      const ledger = await readLedger(store)
      try {
        const text = policy
          ? await replayText(ledger, policy, period, options)
          : options.flags
            ? await flaggedText(ledger, period, options)
            : await spendingText(ledger, period, options)
        context.terminal.stdout(text)
      } finally {
        await ledger.close()
      }
    })
}

type Reader = Parameters<typeof import('../../report/read-charges.ts').readWithUsage>[0]
type Period = import('../../report/period.ts').Period

async function spendingText(
  ledger: import('../../../io/store/ledger-reader.ts').LedgerReader,
  period: Period,
  { by, timezone, csv, json }: Flags,
): Promise<string> {
  const { spendingIn } = await import('../../report/read-sums.ts')
  const { csvOfSpending, jsonOfSpending, renderSpending } = await import('../output/spending-report.ts')
  const report = { period, timezone, by, rows: await spendingIn(ledger, period, by, timezone) }
  if (csv) return csvOfSpending(report)
  return json ? inJson(jsonOfSpending(report)) : renderSpending(report)
}

async function flaggedText(
  ledger: import('../../../io/store/ledger-reader.ts').LedgerReader,
  period: Period,
  { csv, json, timezone }: Flags,
): Promise<string> {
  const { flaggedCharges } = await import('../../report/flagged.ts')
  const { csvOfFlagged, jsonOfFlagged, renderFlagged } = await import('../output/flagged-report.ts')
  const flagged = await flaggedCharges(ledger, period)
  if (csv) return csvOfFlagged(flagged)
  const from = new Date(period.since).toISOString()
  const to = new Date(period.until).toISOString()
  return json ? inJson({ from, to, timezone, flagged: jsonOfFlagged(flagged) }) : renderFlagged(flagged)
}

async function replayText(
  ledger: Reader,
  policy: import('../../report/replay.ts').ReplayPolicy,
  period: Period,
  { timezone, csv, json, policy: file = '' }: Flags,
): Promise<string> {
  const { readCharges } = await import('../../report/read-charges.ts')
  const { replay, replaySince } = await import('../../report/replay.ts')
  const { csvOfReplay, jsonOfReplay, renderReplay } = await import('../output/spending-report.ts')
  const since = replaySince(policy.budgets, period)
  const result = await replay(readCharges(ledger, { ...period, since }), policy, period)
  if (csv) return csvOfReplay(result)
  return json
    ? inJson(jsonOfReplay(file, period, timezone, result))
    : renderReplay(file, period, timezone, result)
}

function inJson(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}

function unitArgument(text: string): PeriodUnit {
  if (text === 'day' || text === 'week' || text === 'month') return text
  throw new InvalidArgumentError('It must be day, week or month.')
}

function dimensionsOption(text: string): readonly Dimension[] {
  const names = text.split(',').map((name) => name.trim())
  return names.map((name) => {
    const known = dimensionOf(name)
    if (known !== undefined) return known
    throw new InvalidArgumentError(unknownName('dimension', name, DIMENSIONS))
  })
}

function timezoneOption(text: string): string {
  if (isTimezone(text)) return text
  throw new InvalidArgumentError('Use an IANA name such as Europe/Berlin, or UTC.')
}
