import { resolve } from 'node:path'
import type { VoucherLimits } from '../../../core/vouchers/voucher.ts'
import type { CheckedObolPool } from '../schema/payers-obol.ts'

/** A payer whose payments were signed in advance. */
export interface ResolvedObolPool {
  readonly kind: 'obol'
  readonly mode: 'pool'
  /** Absolute paths of x402-buyer's files; `undefined` if the vouchers are in the store. */
  readonly paths: { readonly config: string; readonly auths: string | undefined } | undefined
  /** Absolute path of `consumed.json`. */
  readonly state: string | undefined
  /** Name of the payer that signs its vouchers in the background; `undefined` for none. */
  readonly filledBy?: string | undefined
  /** Milliseconds; 0 for never. */
  readonly reloadMs: number
  /** The User-Agent sent to sellers. */
  readonly userAgent: string | undefined
  readonly limits: VoucherLimits
  /** Empty: the vouchers name their networks. */
  readonly networks: readonly string[]
}

/**
 * Converts a checked entry to its final form.
 * @param directory base of relative paths
 */
export function resolveObolPool(payer: CheckedObolPool, directory: string): ResolvedObolPool {
  const { config, auths, state } = payer
  return {
    kind: 'obol',
    mode: 'pool',
    paths:
      config === undefined
        ? undefined
        : { config: resolve(directory, config), auths: auths && resolve(directory, auths) },
    state: state && resolve(directory, state),
    ...(payer.filled_by === undefined ? {} : { filledBy: payer.filled_by }),
    reloadMs: payer.reload_seconds,
    userAgent: payer.user_agent,
    limits: {
      maxCount: payer.max_vouchers,
      maxMicroUsd: payer.max_exposure_usd,
      maxAgeMs: payer.max_age_days,
      maxLifeMs: payer.max_validity_seconds,
    },
    networks: [],
  }
}
