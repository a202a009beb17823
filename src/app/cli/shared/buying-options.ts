/** What the buying commands share: options, the lock, and Ctrl-C. */
import { InvalidArgumentError, type Command } from 'commander'
import { TollwayError } from '../../../core/errors.ts'
import { parseUsd } from '../../../core/money/money.ts'
import { StoppedError } from '../../buying/stopped.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { CONFIG_OPTION, DEFAULT_CONFIG, wholeNumber } from './options.ts'
import type { Terminal } from './terminal.ts'

/** `--config` and `--json`. */
export interface CommonOptions {
  readonly config: string
  readonly json: boolean
}

/** `--payment-option`, `--token`, `--network`. */
export interface ChoiceOptions {
  readonly paymentOption?: number
  readonly token?: string
  readonly network?: string
}

/** Adds `--config` and `--json`. */
export function withCommon(command: Command): Command {
  return command.option(...CONFIG_OPTION, DEFAULT_CONFIG).option('--json', 'print JSON', false)
}

/** Adds the options that choose among a seller's offers. */
export function withChoice(command: Command): Command {
  return command
    .option(
      '--payment-option <n>',
      "the seller's nth offer, as numbered by `tollway probe`",
      wholeNumber(1, 32),
    )
    .option('--token <token>', 'only offers in this token, by symbol or address')
    .option('--network <name>', 'only offers on this network')
}

/** Reads an amount in USD, such as `0.05` or `$0.05`, for commander; micro-USD. */
export function usdAmount(text: string): bigint {
  const micro = parseUsd(text.replace(/^\$/, ''))
  if (micro !== undefined && micro > 0n) return micro
  throw new InvalidArgumentError('It must be a decimal amount of USD with at most 6 decimals, such as 0.05.')
}

/** Reads a duration such as `30d`, `12h`, `90m`, `3600s` or `3600`, for commander; seconds. */
export function lifetime(text: string): number {
  const [, digits = '', unit = 's'] = /^(\d{1,9})([smhd]?)$/.exec(text) ?? []
  const factor: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }
  const seconds = Number(digits) * (factor[unit === '' ? 's' : unit] ?? Number.NaN)
  if (digits !== '' && seconds >= 600 && seconds <= 366 * 86_400) return seconds
  throw new InvalidArgumentError('It must be a duration from 600s to 366d, such as 30d, 12h or 3600s.')
}

/** @throws TollwayError that names the running process */
export function assertAlone<T>(ran: { readonly result: T } | { readonly busy: number }): T {
  if ('result' in ran) return ran.result
  throw new TollwayError({
    code: 'store_unavailable',
    message: `Another tollway command (process ${ran.busy}) is already buying on this ledger; nothing was changed.`,
    advice: ['Run this command again when it has finished.'],
  })
}

/** How {@link interruptible} ends. */
export interface StopOptions {
  /** Message when the command ends after Ctrl-C. */
  readonly message?: string | undefined
  /** Exit code when a second Ctrl-C ends the process at once. */
  readonly code?: (() => ExitCode) | undefined
}

/** A signal that Ctrl-C and SIGTERM abort, while `work` runs. The second one ends the process at once. */
export async function interruptible<T>(
  terminal: Terminal,
  work: (signal: AbortSignal) => Promise<T>,
  options: StopOptions = {},
): Promise<T> {
  const { message = 'Stopped. Completed work is kept; run the same command to continue.', code } = options
  const stopping = new AbortController()
  const stop = terminal.onStopSignal(() => {
    if (stopping.signal.aborted) terminal.exit(code?.() ?? EXIT.failed)
    else stopping.abort(new StoppedError(message))
  })
  try {
    return await work(stopping.signal)
  } catch (error) {
    // The payment engine reports a stop as a client that left; here it was the user who stopped the command.
    const isLeft = error instanceof Error && error.name === 'ClientLeftError'
    throw isLeft && stopping.signal.aborted ? new StoppedError(message) : error
  } finally {
    stop()
  }
}

/** Prints JSON to standard output. */
export function printJson(terminal: Terminal, value: unknown): void {
  terminal.stdout(`${JSON.stringify(value, undefined, 2)}\n`)
}
