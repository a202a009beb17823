/** Rows of `spend_keys` and `rollups`. */
import type { Usage } from '../../../core/stream/usage.ts'
import type { SpendNames, SpendSums } from '../rules/rollup-rules.ts'
import { amount, integer, text, type Row } from './rows.ts'

/** The columns of `rollups` that hold sums, in the order of {@link sumsToValues}. */
export const SUM_COLUMNS = [
  'charges',
  'unpriced',
  'signed',
  'signed_micro_usd',
  'taken',
  'taken_micro_usd',
  'input_tokens',
  'output_tokens',
] as const

/** Sums as the values of {@link SUM_COLUMNS}. */
export function sumsToValues(sums: SpendSums): (number | string)[] {
  const { charges, unpriced, ...amounts } = sums
  const { signed, signedMicroUsd, taken, takenMicroUsd, inputTokens, outputTokens } = amounts
  return [
    charges,
    unpriced,
    ...[signed, signedMicroUsd, taken, takenMicroUsd, inputTokens, outputTokens].map(String),
  ]
}

/** A row of `rollups`. @throws Error when it is damaged */
export function rowToSums(row: Row): SpendSums {
  return {
    charges: integer(row, 'charges'),
    unpriced: integer(row, 'unpriced'),
    signed: amount(row, 'signed'),
    signedMicroUsd: amount(row, 'signed_micro_usd'),
    taken: amount(row, 'taken'),
    takenMicroUsd: amount(row, 'taken_micro_usd'),
    inputTokens: amount(row, 'input_tokens'),
    outputTokens: amount(row, 'output_tokens'),
  }
}

/** A row of `spend_keys`. @throws Error when it is damaged */
export function rowToNames(row: Row): SpendNames {
  return {
    route: text(row, 'route'),
    model: text(row, 'model'),
    remoteModel: text(row, 'remote_model'),
    payer: text(row, 'payer'),
    seller: text(row, 'seller'),
    caller: text(row, 'caller'),
    network: text(row, 'network'),
    symbol: text(row, 'symbol'),
    decimals: integer(row, 'decimals'),
  }
}

/** The tokens in a row of `charge_usage`; `undefined` in a row that was joined with none. */
export function rowToUsage(row: Row | undefined): Usage | undefined {
  if (row === undefined || row['input_tokens'] === null) return undefined
  return { inputTokens: integer(row, 'input_tokens'), outputTokens: integer(row, 'output_tokens') }
}
