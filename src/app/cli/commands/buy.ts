import { InvalidArgumentError, Option, type Command } from 'commander'
import { ConfigError, TollwayError } from '../../../core/errors.ts'
import { formatUnits } from '../../../core/money/money.ts'
import { DEFAULT_LIFE_SECONDS, MAX_ORDER } from '../../../core/vouchers/purchase.ts'
import type { Environment } from '../../config/values/secrets.ts'
import { runExclusively } from '../../buying/exclusive-run.ts'
import type { Bought } from '../../buying/buy.ts'
import type { ExportFormat, Emitted } from '../../buying/export-vouchers.ts'
import {
  assertAlone,
  interruptible,
  lifetime,
  printJson,
  withChoice,
  withCommon,
  type ChoiceOptions,
  type CommonOptions,
} from '../shared/buying-options.ts'
import { EXIT, EXIT_CODES_HELP, type ExitCode } from '../shared/exit-codes.ts'
import { wholeNumber } from '../shared/options.ts'
import { progressBar } from '../output/progress.ts'
import type { CommandContext } from '../shared/command-context.ts'

interface BuyOptions extends CommonOptions, ChoiceOptions {
  readonly endpoint: string
  readonly model: string
  readonly count?: number
  readonly budget?: string
  readonly costCap?: string
  readonly autoRefill?: boolean
  readonly refillThreshold?: number
  readonly refillCount?: number
  readonly maxTotal?: number
  readonly maxSpendPerDay?: string
  readonly payer?: string
  readonly pool?: string
  readonly validFor: number
  readonly authTtl?: number
  readonly setDefault?: boolean
  readonly force?: boolean
  readonly emit?: ExportFormat
  readonly namespace?: string
  readonly out?: string
}

/** Adds `tollway buy`. */
export function addBuy(program: Command, context: CommandContext): void {
  const command = program
    .command('buy')
    .description('sign payments in advance, so that a gateway can pay without a key')
    .argument('<name>', 'name of the purchase')
    .requiredOption(
      '-e, --endpoint <url>',
      "the seller's address, or that of its catalogue (…/api/services.json)",
    )
    .requiredOption('-m, --model <model>', "the seller's name for the model")
    .option('-n, --count <n>', `number of vouchers, up to ${MAX_ORDER} per run`, wholeNumber(1, MAX_ORDER))
    .option(
      '-b, --budget <amount>',
      "buy as many vouchers as this amount covers: 1500000 (smallest units), 1.5, '1.5 USDC' or '$1.50' (default without --count: 100000000)",
    )
    .option('--cost-cap <amount>', 'highest price of one voucher, now and at each refill')
    .option('--auto-refill [yes]', 'buy again when few vouchers remain', readYes)
    .option(
      '--refill-threshold <n>',
      'refill when this many or fewer remain (default: a fifth)',
      wholeNumber(0, 100_000),
    )
    .option(
      '--refill-count <n>',
      'vouchers to sign per refill (default: the size of this order)',
      wholeNumber(1, MAX_ORDER),
    )
    .option(
      '--max-total <n>',
      'limit on all vouchers ever signed for this purchase',
      wholeNumber(1, 100_000_000),
    )
    .option('--max-spend-per-day <amount>', 'limit on the amount signed per UTC day')
    .option('--payer <name>', 'the payer whose key signs')
    .option('--pool <name>', 'the payer that spends the vouchers (kind: obol, mode: pool)')
    .addOption(
      new Option('--valid-for <duration>', 'how long each voucher is valid')
        .argParser(lifetime)
        .default(DEFAULT_LIFE_SECONDS, `${DEFAULT_LIFE_SECONDS / 86_400}d`),
    )
    .addOption(
      new Option('--auth-ttl <seconds>', "buy.py's name for --valid-for").argParser(authTtl).hideHelp(),
    )
    .addOption(new Option('--set-default', "buy.py's option for the agent's model").hideHelp())
    .option('--force', "sign even if the wallet's balance does not cover it")
    .option(
      '--emit <format>',
      'export the vouchers to another program: obol (x402-buyer) or purchase-request',
      readFormat,
    )
    .option('--out <dir>', 'directory that --emit writes to')
    .option(
      '--namespace <name>',
      'Kubernetes namespace of the purchase-request (default: llm)',
      readNamespace,
    )
  withCommon(withChoice(command))
    .addHelpText(
      'after',
      `
Examples:
  tollway buy qwen --endpoint https://seller.example.com/services/qwen --model qwen3.5:9b --count 100
  tollway buy qwen --endpoint https://seller.example.com/services/qwen --model qwen3.5:9b --budget '$5' \\
    --auto-refill --max-spend-per-day 2.5 --cost-cap 0.002
  tollway buy qwen --endpoint https://seller.example.com/services/qwen --model qwen3.5:9b --count 100 \\
    --emit obol --out ./buyer

Buying pays nothing: each voucher is spent when a request uses it. Run the same command again to continue an
interrupted order. Vouchers written by --emit count as spent in the budgets until the chain proves otherwise.
${EXIT_CODES_HELP}`,
    )
    .action(async (name: string, options: BuyOptions) => {
      if ((options.emit === undefined) !== (options.out === undefined)) {
        command.error('error: --emit and --out must be used together', { exitCode: EXIT.usage })
      }
      if (options.namespace !== undefined && options.emit !== 'purchase-request') {
        command.error('error: --namespace is for --emit purchase-request', { exitCode: EXIT.usage })
      }
      await run(name, options, context)
    })
}

async function run(name: string, options: BuyOptions, context: CommandContext): Promise<void> {
  const { terminal } = context
  // Imported here so that help and usage errors appear at once.
  const { loadCommandConfig, onNetwork } = await import('../../config/command-config.ts')
  const { withBuying } = await import('../../buying/buying-context.ts')
  const { buy } = await import('../../buying/buy.ts')
  const { exportVouchers } = await import('../../buying/export-vouchers.ts')
  const { noteRefusal } = await import('../../buying/process.ts')
  const { spendingPayer, signingPayer } = await import('../../buying/choose-payer.ts')
  const { readInference } = await import('../../buying/endpoint.ts')
  const { endpointOf } = await import('../../buying/storefront.ts')
  const { readChoice } = await import('../../buying/offer-choice.ts')
  const config = loadCommandConfig(options.config, onNetwork(terminal.env, options.network))
  const pool = config.payers.get(options.pool ?? '')
  const named = pool?.kind === 'obol' && pool.mode === 'pool' ? pool.filledBy : undefined
  const signedBy = signingPayer(config, options.payer ?? named)
  const payer = spendingPayer(config, options.pool, options.emit === undefined ? undefined : signedBy)
  const place = await interruptible(terminal, (signal) => endpointOf(options.endpoint, options.model, signal))
  const request = {
    name,
    endpoint: place,
    model: options.model,
    payer,
    signedBy,
    count: options.count,
    budget: options.budget,
    costCap: options.costCap,
    refill: refillOf(options),
    choice: readChoice(options),
    lifeSeconds: options.authTtl ?? lifeFrom(terminal.env) ?? options.validFor,
    force: options.force,
    handOver: options.emit !== undefined,
  }
  const { url: endpoint } = readInference(place)
  const bar = progressBar(terminal, 'signing')
  const ran = await interruptible(terminal, (signal) =>
    runExclusively(config, () =>
      withBuying(config, async (buyingContext) => {
        try {
          const bought = await buy(buyingContext, request, signal, bar.at)
          const { emit: format, out } = options
          const namespace = options.namespace ?? namespaceFrom(terminal.env)
          if (format === undefined || out === undefined) return { bought, emitted: undefined }
          const { purchase, status } = bought
          return {
            bought,
            emitted: await exportVouchers(buyingContext, purchase, status.pool, format, out, namespace),
          }
        } catch (error) {
          if (error instanceof TollwayError)
            await noteRefusal(buyingContext, 'buy', { ...request, endpoint }, error)
          throw error
        } finally {
          bar.end()
        }
      }),
    ),
  )
  const { bought, emitted } = assertAlone(ran)
  const { purchaseJson } = await import('../output/purchases-report.ts')
  if (options.json) {
    const { purchase, status, wanted, added, dropped, resumed, stopped } = bought
    const view = purchaseJson({ purchase, status, elsewhere: emitted?.count ?? 0 })
    printJson(terminal, {
      ...view,
      wanted,
      signed: added,
      dropped,
      resumed,
      stopped: stopped ?? null,
      emitted: emitted ? { ...emitted, stopped: emitted.stopped?.code ?? null } : null,
    })
  } else terminal.stdout(render(bought, emitted))
  if (options.setDefault === true)
    terminal.stderr(`note: --set-default is \`tollway init openclaw --primary paid/${options.model}\`.\n`)
  context.end(codeOf(bought, emitted))
}

function refillOf(options: BuyOptions) {
  const { autoRefill, refillThreshold: threshold, refillCount: count, maxTotal, maxSpendPerDay } = options
  if (autoRefill === false) return undefined
  const wanted =
    autoRefill === true || [threshold, count, maxTotal, maxSpendPerDay].some((one) => one !== undefined)
  return wanted ? { threshold, count, maxTotal, maxSpendPerDay } : undefined
}

function codeOf({ stopped }: Bought, emitted: Emitted | undefined): ExitCode {
  return stopped !== undefined || emitted?.stopped !== undefined ? EXIT.refused : EXIT.done
}

const WHY: Readonly<Record<string, string>> = {
  limit: 'a limit on signed or unused vouchers leaves no room for more',
  count: 'the limit on unused vouchers (max_vouchers) was reached',
  exposure: 'the limit on the value of unused vouchers (max_exposure_usd) was reached',
  total: 'the limit on vouchers ever signed (--max-total) was reached',
  per_day: 'the daily signing limit (--max-spend-per-day) was reached',
  budget:
    'the rest of the order budget does not cover another voucher at this price, so the order is complete',
}

function render(
  { purchase, status, wanted, added, dropped, resumed, stopped }: Bought,
  emitted: Emitted | undefined,
): string {
  const { pool, counts } = status
  const price = `${formatUnits(pool.amount, pool.decimals)} ${pool.symbol}`
  const total = `${formatUnits(pool.amount * BigInt(added), pool.decimals)} ${pool.symbol}`
  return [
    ...(resumed
      ? [
          wanted === 0 && stopped === undefined
            ? 'Continued an order that was signed but not fully exported.'
            : `Continued an interrupted order: ${wanted} vouchers were missing.`,
        ]
      : []),
    ...(dropped > 0 ? [`The seller's terms changed: ${dropped} older vouchers were discarded.`] : []),
    `Signed ${added} of ${wanted} at ${price} each (${total}); ${counts.ready} are ready as paid/${purchase.model}.`,
    ...(stopped === undefined
      ? []
      : [
          `Stopped: ${WHY[stopped] ?? stopped}.${stopped === 'budget' ? '' : ' Run the same command later to continue.'}`,
        ]),
    ...(emitted ? renderEmitted(emitted) : []),
  ]
    .map((line) => `${line}\n`)
    .join('')
}

function renderEmitted({ files, count, handedOver, leftOut, stopped }: Emitted): string[] {
  return [
    ...(leftOut > 0
      ? [
          `Skipped ${leftOut} vouchers with earlier terms, which the seller no longer accepts; they stay counted.`,
        ]
      : []),
    `Exported ${handedOver}; ${files.join(' and ')} now hold ${count}. They count as spent until the chain proves otherwise.`,
    ...(stopped ? [`The export stopped: ${stopped.message}`] : []),
  ]
}

/** `--auth-ttl` in buy.py's meaning: seconds, raised to ten minutes. A voucher that never ends is refused. */
function authTtl(text: string): number {
  if (/^\d{1,8}$/.test(text) && text !== '0') return lifetime(String(Math.max(Number(text), 600)))
  throw new InvalidArgumentError(
    'It must be a number of seconds. A voucher without an end can never be released: name one, such as 2592000 (30 days).',
  )
}

/** buy.py's variable for the same, where the line does not say. @throws ConfigError that names it */
function lifeFrom(env: Environment): number | undefined {
  const text = env['OBOL_X402_AUTH_TTL'] ?? ''
  if (text === '') return undefined
  try {
    return authTtl(text)
  } catch (error) {
    throw new ConfigError(`OBOL_X402_AUTH_TTL is ${text}. ${error instanceof Error ? error.message : ''}`)
  }
}

/** The namespace of buy.py's pod. @throws ConfigError */
function namespaceFrom(env: Environment): string | undefined {
  const text = env['AGENT_NAMESPACE'] ?? ''
  if (text === '') return undefined
  try {
    return readNamespace(text)
  } catch (error) {
    throw new ConfigError(`AGENT_NAMESPACE is ${text}. ${error instanceof Error ? error.message : ''}`)
  }
}

/** `--auto-refill=true|false`, as buy.py takes it; without a value it is on. */
function readYes(text: string): boolean {
  if (/^(?:1|true|yes|on)$/i.test(text)) return true
  if (/^(?:0|false|no|off)$/i.test(text)) return false
  throw new InvalidArgumentError('It must be true or false, or stand without a value.')
}

/** A name of Kubernetes (RFC 1123). */
function readNamespace(text: string): string {
  if (/^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/.test(text)) return text
  throw new InvalidArgumentError('It must be up to 63 lower-case letters, digits and -.')
}

function readFormat(text: string): ExportFormat {
  if (text === 'obol' || text === 'purchase-request') return text
  throw new InvalidArgumentError('It must be obol or purchase-request.')
}
