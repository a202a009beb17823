/** `tollway refill`, `tollway remove` and `tollway process`. */
import type { Command } from 'commander'
import { ConfigError, TollwayError } from '../../../core/errors.ts'
import { formatUnits } from '../../../core/money/money.ts'
import { MAX_ORDER } from '../../../core/vouchers/purchase.ts'
import { runExclusively } from '../../buying/exclusive-run.ts'
import type { Processed } from '../../buying/process.ts'
import type { RefillReport } from '../../buying/refill.ts'
import type { Removed } from '../../buying/remove.ts'
import {
  assertAlone,
  interruptible,
  printJson,
  withCommon,
  type CommonOptions,
} from '../shared/buying-options.ts'
import { EXIT, EXIT_CODES_HELP, exitCodeOf, type ExitCode } from '../shared/exit-codes.ts'
import { wholeNumber } from '../shared/options.ts'
import { progressBar } from '../output/progress.ts'
import { formatTime } from '../output/purchases-report.ts'
import type { CommandContext } from '../shared/command-context.ts'
import { renderTable } from '../output/table.ts'

interface RefillOptions extends CommonOptions {
  readonly count?: number
  readonly pool?: string
}

interface RemoveOptions extends CommonOptions {
  readonly now?: boolean
  readonly pool?: string
}

interface ProcessOptions extends CommonOptions {
  readonly all?: boolean
  readonly pool?: string
}

/** Adds `tollway refill`. */
export function addRefill(program: Command, context: CommandContext): void {
  const { terminal } = context
  withCommon(
    program
      .command('refill')
      .description("sign more vouchers for a purchase now, at the seller's current price")
      .argument('<name>', 'the purchase')
      .option(
        '-n, --count <n>',
        'number of vouchers (default: from the refill policy)',
        wholeNumber(1, MAX_ORDER),
      )
      .option('--pool <name>', 'the payer of the purchase'),
  )
    .addHelpText(
      'after',
      `
Examples:
  tollway refill qwen
  tollway refill qwen --count 50 --json

The limits set with \`tollway buy\` apply here too: --max-total, --max-spend-per-day and --cost-cap.
${EXIT_CODES_HELP}`,
    )
    .action(async (name: string, options: RefillOptions) => {
      const { config, buying } = await load(options, context)
      const bar = progressBar(terminal, `signing ${name}`)
      const ran = await interruptible(terminal, (signal) =>
        runExclusively(config, () =>
          buying.withBuying(config, async (buyingContext) => {
            const purchase = await buying.findPurchase(buyingContext.ledger.store, name, options.pool)
            try {
              const { count } = options
              return await buying.refill(buyingContext, purchase, {
                force: true,
                count,
                signal,
                onProgress: bar.at,
              })
            } catch (error) {
              if (error instanceof TollwayError)
                await buying.noteRefusal(buyingContext, 'refill', purchase, error)
              throw error
            } finally {
              bar.end()
            }
          }),
        ),
      )
      const report = assertAlone(ran)
      if (options.json) printJson(terminal, reportJson({ ok: true, report }))
      else terminal.stdout(renderResults([{ ok: true, report }]))
      context.end(codeOf({ ok: true, report }))
    })
}

/** Adds `tollway remove`. */
export function addRemove(program: Command, context: CommandContext): void {
  const { terminal } = context
  withCommon(
    program
      .command('remove')
      .description('stop buying a purchase and use up the remaining vouchers')
      .argument('<name>', 'the purchase')
      .option('--now', 'discard the remaining vouchers instead')
      .option('--pool <name>', 'the payer of the purchase'),
  )
    .addHelpText(
      'after',
      `
Examples:
  tollway remove qwen
  tollway remove qwen --now

Vouchers exported to another program cannot be taken back: they count as spent until they expire.
${EXIT_CODES_HELP}`,
    )
    .action(async (name: string, options: RemoveOptions) => {
      const { config, buying } = await load(options, context)
      const ran = await runExclusively(config, () =>
        buying.withBuying(config, async (buyingContext) =>
          buying.remove(
            buyingContext,
            await buying.findPurchase(buyingContext.ledger.store, name, options.pool),
            options.now === true,
          ),
        ),
      )
      const removed = assertAlone(ran)
      if (options.json) {
        const { purchase, until, ...rest } = removed
        printJson(terminal, { name: purchase.name, payer: purchase.payer, ...rest, until: formatTime(until) })
      } else terminal.stdout(renderRemoved(removed))
    })
}

/** Adds `tollway process`. */
export function addProcess(program: Command, context: CommandContext): void {
  const { terminal } = context
  withCommon(
    program
      .command('process')
      .alias('maintain')
      .description('maintain purchases: finish orders, refill low ones, follow prices within the caps')
      .argument('[name]', 'only this purchase')
      .option('--all', 'every purchase')
      .option('--pool <name>', 'only purchases of this payer'),
  )
    .addHelpText(
      'after',
      `
Examples:
  tollway process --all
  tollway process qwen --json
  */5 * * * * tollway process --all --config /etc/tollway/tollway.yaml      (in a crontab)

Exits with 0 and changes nothing when another run is in progress. A purchase that fails does not stop the
others; the exit code is then 1, or 3 when a limit or the policy refused.
${EXIT_CODES_HELP}`,
    )
    .action(async (name: string | undefined, options: ProcessOptions) => {
      if ((name === undefined) !== (options.all === true)) {
        throw new ConfigError('No purchase was given. Name one, or use --all.')
      }
      const { config, buying } = await load(options, context)
      const bar = progressBar(terminal, 'signing')
      const ran = await interruptible(terminal, (signal) =>
        runExclusively(config, () =>
          buying.withBuying(config, async (buyingContext) => {
            const { store } = buyingContext.ledger
            const purchases =
              name === undefined
                ? await store.purchases.list({ payer: options.pool })
                : [await buying.findPurchase(store, name, options.pool)]
            try {
              return await buying.processPurchases(
                buyingContext,
                purchases,
                signal,
                (_purchase, done, wanted) => bar.at(done, wanted),
              )
            } finally {
              bar.end()
            }
          }),
        ),
      )
      if ('busy' in ran) {
        const message = `Another tollway command (process ${ran.busy}) is already running; nothing was changed.`
        if (options.json) printJson(terminal, { busy: ran.busy, purchases: [] })
        else terminal.stderr(`${message}\n`)
        return
      }
      const { result } = ran
      if (options.json) printJson(terminal, { busy: null, purchases: result.map(reportJson) })
      else terminal.stdout(renderResults(result))
      const codes = result.map(codeOf)
      context.end(codes.find((code) => code === EXIT.failed) ?? Math.max(EXIT.done, ...codes))
    })
}

async function load(options: CommonOptions, { terminal }: CommandContext) {
  // Imported here so that help and usage errors appear at once.
  const { loadCommandConfig } = await import('../../config/command-config.ts')
  const config = loadCommandConfig(options.config, terminal.env)
  const { withBuying } = await import('../../buying/buying-context.ts')
  const { findPurchase } = await import('../../buying/find-purchase.ts')
  const { refill } = await import('../../buying/refill.ts')
  const { remove } = await import('../../buying/remove.ts')
  const { noteRefusal, processPurchases } = await import('../../buying/process.ts')
  return { config, buying: { withBuying, findPurchase, refill, remove, noteRefusal, processPurchases } }
}

function codeOf(result: Processed): ExitCode {
  if (!result.ok) return exitCodeOf(result.error)
  return result.report.result === 'limit' || result.report.stopped !== undefined ? EXIT.refused : EXIT.done
}

function reportJson(result: Processed): Readonly<Record<string, unknown>> {
  if (!result.ok) {
    const { purchase, error } = result
    return {
      name: purchase.name,
      payer: purchase.payer,
      result: 'failed',
      error: { code: error.code, message: error.message },
    }
  }
  const { purchase, result: outcome, added, dropped, stopped, status } = result.report
  return {
    name: purchase.name,
    payer: purchase.payer,
    result: outcome,
    signed: added,
    dropped,
    stopped: stopped ?? null,
    remaining: status?.counts.ready ?? 0,
    price: status?.pool.amount.toString() ?? null,
    symbol: status?.pool.symbol ?? null,
  }
}

const RESULTS: Readonly<Record<RefillReport['result'], string>> = {
  refilled: 'refilled',
  enough: 'enough left',
  no_policy: 'no automatic refill',
  draining: 'being used up',
  removed: 'used up and removed',
  limit: 'stopped by a limit',
}

function renderResults(results: readonly Processed[]): string {
  if (results.length === 0) return 'There are no purchases.\n'
  const rows = results.map((result) => {
    if (!result.ok) return [result.purchase.name, 'failed', '', '', '', result.error.message]
    const { purchase, result: outcome, added, dropped, stopped, status } = result.report
    const price = status
      ? `${formatUnits(status.pool.amount, status.pool.decimals)} ${status.pool.symbol}`
      : ''
    const notes = [
      ...(dropped > 0 ? [`terms changed: ${dropped} discarded`] : []),
      ...(stopped === undefined || outcome === 'limit' ? [] : [`stopped by a limit (${stopped})`]),
    ]
    return [
      purchase.name,
      RESULTS[outcome],
      String(added),
      String(status?.counts.ready ?? 0),
      price,
      notes.join(', '),
    ]
  })
  return renderTable(['NAME', 'RESULT', 'SIGNED', 'LEFT', 'PRICE', ''], rows)
}

function renderRemoved({ purchase, result, dropped, ready, held, elsewhere, until }: Removed): string {
  const end = formatTime(until) ?? 'now'
  return [
    result === 'removed'
      ? `${purchase.name} was removed; ${dropped} vouchers were discarded.`
      : `${purchase.name} will be removed when its vouchers are used up: ${ready} are left and ${held} are in use, until ${end} at the latest. \`tollway process --all\` then removes it.`,
    ...(elsewhere > 0
      ? [`${elsewhere} were exported to another program, which may use them until ${end}; they stay counted.`]
      : []),
  ]
    .map((line) => `${line}\n`)
    .join('')
}
