import { InvalidArgumentError, Option, type Command } from 'commander'
import { ConfigError, TollwayError } from '../../../core/errors.ts'
import { formatUsd } from '../../../core/money/money.ts'
import type { Reply } from '../../../core/request/exchange.ts'
import type { PaymentReceipt } from '../../buying/receipt.ts'
import type { Paid, PayRequest } from '../../buying/pay.ts'
import { StoppedError } from '../../buying/stopped.ts'
import type { Timeouts } from '../../../io/transport/upstream.ts'
import {
  interruptible,
  printJson,
  usdAmount,
  withChoice,
  withCommon,
  type ChoiceOptions,
  type CommonOptions,
} from '../shared/buying-options.ts'
import { bodyJson, toFile, toMemory, toOutput, type Delivery } from '../output/deliver.ts'
import { errorText } from '../output/error-text.ts'
import { EXIT, EXIT_CODES_HELP, exitCodeOf, type ExitCode } from '../shared/exit-codes.ts'
import type { CommandContext } from '../shared/command-context.ts'
import { wholeNumber } from '../shared/options.ts'
import { methodOf, targetOf, withServiceType, type ServiceOptions } from '../shared/service-request.ts'
import type { Terminal } from '../shared/terminal.ts'

interface PayOptions extends CommonOptions, ChoiceOptions, ServiceOptions {
  readonly header: readonly string[]
  readonly maxUsd?: bigint
  readonly maxUsdc?: bigint
  readonly yes: boolean
  readonly output?: string
  readonly payer?: string
  readonly timeout?: number
  readonly authTtl?: string
}

/** Adds `tollway pay`. */
export function addPay(program: Command, context: CommandContext): void {
  const { terminal } = context
  const command = program
    .command('pay')
    .description('call a paid HTTP service once, with at most one payment')
    .argument('<url>', 'address of the service')
    .option('-X, --request <method>', 'method (default: GET, with --data POST)')
    .option('-d, --data <text>', 'request body; @FILE reads it from a file, @- from standard input')
    .option('-m, --model <model>', 'with --type inference: ask this model "ping" when there is no --data')
    .option('-H, --header <header>', "a header, such as 'accept: text/plain'; repeatable", collect, [])
    .option('--max-usd <amount>', 'highest price, in USD (policy.max_usd_per_request applies too)', usdAmount)
    .option('--max-usdc <amount>', 'highest price, in USDC; nothing but USDC is paid', usdAmount)
    .option('-y, --yes', 'pay for a POST without asking on a terminal', false)
    .option('-o, --output <file>', 'write the response body to this file instead of standard output')
    .option('--payer <name>', 'the payer that pays')
    .option('--timeout <seconds>', 'longest time for the whole call', wholeNumber(1, 86_400))
    .addOption(new Option('--auth-ttl <seconds>', "buy.py's option for vouchers").hideHelp())
  withCommon(withChoice(withServiceType(command)))
    .addHelpText(
      'after',
      `
Examples:
  tollway pay https://api.example.com/weather?city=Athens --max-usd 0.01
  tollway pay https://api.example.com/draw -d '{"prompt":"a boat"}' --max-usd 0.05 -o boat.png
  tollway pay https://seller.example.com/v1/chat/completions -d @question.json --json
  tollway pay https://seller.example.com/services/qwen --type inference --model qwen3.5:9b

Without a configuration file, a wallet in the environment is enough: REMOTE_SIGNER_URL (and REMOTE_SIGNER_TOKEN) or
TOLLWAY_WALLET_KEY; ERPC_URL and ERPC_NETWORK (default base-sepolia) name a node and the network. On Solana:
TOLLWAY_SOLANA_KEY (base58), with SOLANA_RPC_URL and SOLANA_NETWORK (default solana-devnet).
On a terminal, a request that is neither GET nor HEAD is paid only after you agree, unless --yes is given.

The response goes to standard output and the receipt to standard error; --json prints both as one object.
Without -X or --data, the method is the one that the seller describes, else GET.
Exits with 4 when a payment was sent and its outcome is unknown: check the charge before you try again. A payment that was taken
for no answer exits with 1 and is reported as paid.
Ctrl-C does not wait for the response to a payment: the charge keeps its current state. A second Ctrl-C exits at once.
${EXIT_CODES_HELP}`,
    )
    .action(async (url: string, options: PayOptions) => {
      // Imported here so that help and usage errors appear at once.
      const { loadCommandConfig, onNetwork } = await import('../../config/command-config.ts')
      const { withBuying } = await import('../../buying/buying-context.ts')
      const { pay } = await import('../../buying/pay.ts')
      const { payingPayer } = await import('../../buying/choose-payer.ts')
      const { readInference, readUrl } = await import('../../buying/endpoint.ts')
      const { readChoice } = await import('../../buying/offer-choice.ts')
      const config = within(
        loadCommandConfig(options.config, onNetwork(terminal.env, options.network)),
        options,
      )
      if (options.authTtl !== undefined) terminal.stderr(AUTH_TTL_NOTE)
      const { address, data } = targetOf(url, options, readInference)
      const payRequest: PayRequest = {
        url: readUrl(address),
        isMethodGiven: methodOf(options) !== undefined,
        method: (methodOf(options) ?? (data ? 'POST' : 'GET')).toUpperCase(),
        data,
        headers: {
          ...agentOf(terminal),
          ...(data ? { 'content-type': 'application/json' } : {}),
          ...headersOf(options.header),
        },
        payer: payingPayer(config, options.payer),
        ...limitOf(options, readChoice),
        approve: approver(options, terminal),
        inspect: (_challenge, _payer, method) => confirm(method, address, options, terminal),
      }
      const memory = toMemory()
      const delivery =
        options.output === undefined
          ? options.json
            ? memory
            : toOutput(terminal)
          : await toFile(options.output)
      try {
        let receipt: (() => PaymentReceipt) | undefined
        const onStop = (current: () => PaymentReceipt): void => {
          receipt = current
          terminal.stderr(stopMessage(current()))
        }
        const code = await interruptible(
          terminal,
          (signal) =>
            withBuying(config, (buyingContext) =>
              pay(
                buyingContext,
                payRequest,
                signal,
                (paid) => deliver(paid, delivery, memory, options, terminal),
                onStop,
              ),
            ),
          {
            message: 'Stopped; nothing was paid.',
            code: () => (receipt === undefined || receipt().spent === 'no' ? EXIT.failed : EXIT.uncertain),
          },
        )
        context.end(code)
      } finally {
        await delivery.discard()
      }
    })
}

const AUTH_TTL_NOTE =
  'note: --auth-ttl is for vouchers (tollway buy); a single payment ends when the seller says, minutes from now.\n'

/** The configuration with the limit of time of this call. */
function within<T extends { readonly timeouts: Timeouts }>(config: T, { timeout }: PayOptions): T {
  return timeout === undefined
    ? config
    : { ...config, timeouts: { ...config.timeouts, totalMs: timeout * 1000 } }
}

/** buy.py's variable for the User-Agent that sellers see. */
function agentOf({ env }: Terminal): Readonly<Record<string, string>> {
  const agent = env['OBOL_BUYER_USER_AGENT'] ?? ''
  return agent === '' ? {} : { 'user-agent': agent }
}

/** The ceiling, in USD or USDC, and the offers that are meant. @throws ConfigError for options that exclude each other */
function limitOf(
  options: PayOptions,
  readChoice: (options: ChoiceOptions) => PayRequest['choice'],
): Pick<PayRequest, 'maxMicroUsd' | 'choice'> {
  const { maxUsd, maxUsdc, token } = options
  if (maxUsdc === undefined) return { maxMicroUsd: maxUsd, choice: readChoice(options) }
  if (maxUsd !== undefined)
    throw new ConfigError(
      '--max-usd and --max-usdc are one limit in two units. Give one of them; nothing was paid.',
    )
  if (token !== undefined && token.toUpperCase() !== 'USDC')
    throw new ConfigError(
      `--max-usdc pays USDC only, and --token names ${token}. Give --max-usd instead; nothing was paid.`,
    )
  // USDC counts as one dollar in the asset table.
  return { maxMicroUsd: maxUsdc, choice: readChoice({ ...options, token: 'USDC' }) }
}

/** Asks the person at a terminal before a request is paid that may do more than read. */
async function confirm(
  method: string,
  address: string,
  options: PayOptions,
  terminal: Terminal,
): Promise<void> {
  if (method === 'GET' || method === 'HEAD' || options.yes || !terminal.ask) return
  const most = options.maxUsd ?? options.maxUsdc
  const { origin, pathname } = new URL(address)
  const price = most === undefined ? 'within policy.max_usd_per_request' : `up to $${formatUsd(most)}`
  const answer = await terminal.ask(`Pay ${price} for ${method} ${origin}${pathname}? [y/N] `)
  if (!/^y(?:es)?$/i.test(answer.trim()))
    throw new StoppedError('Not approved; nothing was paid. --yes pays without asking.')
}

/** What asks about a price above policy.approve_above_usd: the person at the terminal, whatever the method is; --yes agrees ahead. */
function approver({ yes }: PayOptions, terminal: Terminal): PayRequest['approve'] {
  if (yes) return async () => undefined
  const { ask } = terminal
  if (!ask) return undefined
  return async ({ microUsd, seller }) => {
    const price = microUsd === undefined ? 'a price without a USD value' : `$${formatUsd(microUsd)}`
    const answer = await ask(`${seller} asks ${price}, above policy.approve_above_usd. Pay it? [y/N] `)
    if (!/^y(?:es)?$/i.test(answer.trim()))
      throw new StoppedError('Not approved; nothing was paid. --yes pays without asking.')
  }
}

/** Writes the response, then prints what it cost. */
async function deliver(
  { receipt, reply, error, note }: Paid,
  delivery: Delivery,
  memory: ReturnType<typeof toMemory>,
  options: PayOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const broken =
    reply &&
    (await delivery.take(reply.body).then(
      () => undefined,
      (cause: unknown) => brokenOff(receipt, cause),
    ))
  const failure = error ?? broken
  if (failure !== undefined && !(failure instanceof TollwayError) && !(failure instanceof ConfigError))
    throw failure
  if (options.json) {
    printJson(terminal, {
      status: reply?.status ?? null,
      ...receiptJson(receipt),
      file: options.output ?? null,
      note: note ?? null,
      ...(reply && options.output === undefined ? bodyJson(memory.bytes()) : {}),
      error: failure
        ? {
            code: codeOf(failure),
            message: failure.message,
            ...(failure instanceof TollwayError && failure.seller ? { seller: failure.seller } : {}),
          }
        : null,
    })
  } else {
    if (note !== undefined) terminal.stderr(`${note}\n`)
    if (failure) terminal.stderr(`${errorText(failure)}\n`)
    terminal.stderr(render(receipt, reply, options.output, failure))
  }
  if (receipt.spent === 'unknown') return EXIT.uncertain
  // The payment is settled, and there is no answer: that is known, and no reason to wait for the chain.
  if (error !== undefined && receipt.spent === 'yes') return EXIT.failed
  if (failure) return receipt.spent === 'no' ? exitCodeOf(failure) : EXIT.uncertain
  return reply !== undefined && reply.status >= 300 ? EXIT.failed : EXIT.done
}

function codeOf(failure: TollwayError | ConfigError): string {
  if (failure instanceof ConfigError) return 'config'
  return failure instanceof StoppedError ? 'stopped' : failure.code
}

/** Printed at once when the user stops a call. */
function stopMessage({ spent, charge, amount }: PaymentReceipt): string {
  const what = `${amount ?? ''}, charge ${charge ?? ''}`
  if (spent === 'no') return ''
  return spent === 'yes'
    ? `Stopping. The seller has accepted the payment (${what}); the rest of its response is discarded.
`
    : `Stopping. A payment (${what}) was sent and may have been taken; it stays counted. Press Ctrl-C again to exit at once.
`
}

function brokenOff(receipt: PaymentReceipt, cause: unknown): TollwayError {
  return receipt.spent === 'no'
    ? new TollwayError({
        code: 'seller_unavailable',
        message: 'The response broke off; nothing was paid.',
        cause,
      })
    : new TollwayError({
        code: 'paid_not_delivered',
        message:
          'The response broke off or could not be written. The seller had already accepted the payment.',
        cause,
      })
}

function receiptJson(receipt: PaymentReceipt): Readonly<Record<string, unknown>> {
  const { requestId, spent, charge, amount, usd, network, payTo, transaction } = receipt
  return {
    request_id: requestId,
    spent,
    charge: charge ?? null,
    amount: amount ?? null,
    usd: usd ?? null,
    network: network ?? null,
    pay_to: payTo ?? null,
    transaction: transaction ?? null,
  }
}

function render(
  receipt: PaymentReceipt,
  reply: Reply | undefined,
  file: string | undefined,
  failure: Error | undefined,
): string {
  const { spent, charge, amount, usd, payTo, transaction } = receipt
  const status = reply ? ` The seller answered ${reply.status}.` : ''
  const cost = `${amount ?? ''}${usd === undefined ? '' : ` ($${usd})`} to ${payTo ?? ''}`
  const first =
    spent === 'no'
      ? // Most errors already say that no money moved.
        `${saysUnpaid(failure?.message ?? '') ? '' : 'Nothing was paid.'}${status}`.trimStart()
      : spent === 'yes'
        ? `Paid ${cost}; charge ${charge ?? ''}${transaction === undefined ? '' : `, transaction ${transaction}`}.`
        : `A payment of ${cost} was sent and may have been taken: charge ${charge ?? ''}. \`tollway reconcile\` checks the chain. Do not send the request again until the outcome is known.`
  const where = file === undefined || !reply ? '' : `The response is in ${file}.\n`
  return `${first === '' ? '' : `${first}\n`}${where}`
}

/** Whether an error message states that no money moved: "Nothing was sent", "This offer was not paid", … */
export function saysUnpaid(message: string): boolean {
  return /\b(?:nothing was (?:paid|sent|signed)|no payment was sent|(?:was|were) not paid)\b/i.test(message)
}

/** Headers that the payment or the transport sets. */
const OWN =
  /^(?:payment-.*|x-payment.*|host|content-length|connection|transfer-encoding|expect|upgrade|te|trailer|keep-alive|accept-encoding)$/

function headersOf(list: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    list.map((text) => {
      const [, name = '', value = ''] =
        /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\t]*)$/.exec(text) ?? []
      if (name === '') throw new ConfigError(`-H "${text}" is not a header. Write 'name: value'.`)
      if (OWN.test(name.toLowerCase())) {
        throw new ConfigError(`Tollway sets the header ${name} itself. Remove -H ${name}.`)
      }
      return [name.toLowerCase(), value]
    }),
  )
}

function collect(text: string, list: readonly string[]): readonly string[] {
  if (text.length > 8192) throw new InvalidArgumentError('A header is longer than 8192 characters.')
  return [...list, text]
}
