/** A pool of pre-signed payments as a payer for middlewares of an application: plain options in place of a configuration. */
import { z } from 'zod'
import { systemClock, type Clock } from '../../src/core/clock.ts'
import { ConfigError } from '../../src/core/errors.ts'
import { BUILT_IN_ASSETS, type Asset } from '../../src/core/money/assets.ts'
import { parseUsd } from '../../src/core/money/money.ts'
import type { Provider } from '../../src/core/payer/provider.ts'
import type { Timers } from '../../src/core/timers.ts'
import { ConsumedFile } from '../../src/io/external-payers/obol/consumed-file.ts'
import { ObolFilesError } from '../../src/io/external-payers/obol/files.ts'
import type { Ledger } from '../../src/io/ledger/ledger.ts'
import { parseOptions } from '../../src/io/names/parse-options.ts'
import { VoucherBook } from '../../src/io/vouchers/voucher-book.ts'
import { timersOption } from '../shared/payer-options.ts'
import { ObolPool } from './pool.ts'

/** Options of a pool. */
export interface ObolPoolPayerOptions {
  /** x402-buyer's configuration: its directory, or one file. */
  readonly config: string
  /** Its authorizations: the directory, or one file. */
  readonly auths?: string | undefined
  /** x402-buyer's `consumed.json`, kept up to date; one process writes it. */
  readonly state?: string | undefined
  /** The ledger of `openLedger()`, which keeps the vouchers. Give the same one to `budgetGuard()`. */
  readonly ledger: Ledger
  /** The name by which routes name this payer, and the ledger its vouchers; default `obol`. */
  readonly payer?: string | undefined
  /** Most unused vouchers; default 10,000. */
  readonly maxVouchers?: number | undefined
  /** USD that the unused vouchers may be worth together, as decimal text; no limit by default. */
  readonly maxExposureUsd?: string | undefined
  /** How often the files are read again, milliseconds; default 5,000; 0 for never. */
  readonly reloadMs?: number | undefined
  /** Tokens with their values; default the built-in ones. */
  readonly assets?: readonly Asset[] | undefined
  readonly clock?: Clock | undefined
  readonly timers?: Timers | undefined
}

const DAY_MS = 86_400_000
const path = (what: string): z.ZodString => z.string(what).min(1, what)

const SCHEMA = z.strictObject({
  config: path("give x402-buyer's configuration: its directory, or one file"),
  auths: path('give its authorizations: the directory, or one file').optional(),
  state: path('give the path of consumed.json').optional(),
  ledger: z.custom<Ledger>(
    (value) => typeof value === 'object' && value !== null && 'store' in value,
    'give the ledger that openLedger() opens',
  ),
  payer: z.string().min(1, 'give the name that routes use').default('obol'),
  maxVouchers: z.int('give a whole number').min(1, 'give at least 1').default(10_000),
  maxExposureUsd: z
    .string('write USD as decimal text, e.g. "50.00"')
    .refine((text) => parseUsd(text) !== undefined, 'write USD as decimal text, e.g. "50.00"')
    .optional(),
  reloadMs: z.int('give milliseconds').min(0, 'give milliseconds, or 0 for never').default(5_000),
  assets: z
    .array(z.custom<Asset>((value) => typeof value === 'object', 'give assets'))
    .default([...BUILT_IN_ASSETS]),
  clock: z
    .custom<Clock>((value) => typeof value === 'object' && value !== null && 'now' in value, 'give { now() }')
    .default(systemClock),
  timers: timersOption,
})

/**
 * Opens a pool: loads the vouchers of the files into the ledger, and pays with them. No key is in the process.
 * @throws ConfigError for a mistake in the options, files that cannot be read, or a state file that another process writes
 * @throws TollwayError `store_unavailable`
 */
export async function obolPool(options: ObolPoolPayerOptions): Promise<Provider> {
  const parsed = parseOptions('obol', SCHEMA, options)
  const { config, auths, state, ledger, payer, clock, timers, reloadMs, assets } = parsed
  const consumed =
    state === undefined ? undefined : ConsumedFile.open(state, ledger.instance, () => undefined)
  const limits = {
    maxCount: parsed.maxVouchers,
    maxMicroUsd: parsed.maxExposureUsd === undefined ? undefined : parseUsd(parsed.maxExposureUsd),
    maxAgeMs: 365 * DAY_MS,
    maxLifeMs: 366 * DAY_MS,
  }
  try {
    return await ObolPool.open({
      payer,
      paths: { config, auths },
      consumed,
      book: new VoucherBook({ ledger, clock, limits }),
      store: ledger.store,
      assets,
      reloadMs,
      clock,
      timers,
    })
  } catch (error) {
    await consumed?.close()
    if (!(error instanceof ObolFilesError)) throw error
    throw new ConfigError(`obol(): ${error.message} Correct config or auths.`, { cause: error })
  }
}
