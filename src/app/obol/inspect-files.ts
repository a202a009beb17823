/** What the upstreams in x402-buyer's files would do, for `tollway check`: nothing is locked, written or asked for. */
import type { VoucherPool } from '../../core/vouchers/voucher.ts'
import { ConfigError } from '../../core/errors.ts'
import { formatUsd, toMicroUsd } from '../../core/money/money.ts'
import { findAsset } from '../../core/money/assets.ts'
import { readConsumed } from '../../io/external-payers/obol/consumed-file.ts'
import type { UpstreamDocument } from '../../io/external-payers/obol/documents.ts'
import { ObolFilesError, readObolFiles, type ObolFiles } from '../../io/external-payers/obol/files.ts'
import { admit } from '../../io/store/rules/voucher-rules.ts'
import { readUpstream, describeRefusals } from '../../../providers/obol/read-upstream.ts'
import { VoucherCheck } from '../../../providers/obol/voucher-check.ts'
import type { ResolvedObolPool } from '../config/resolve/resolve-obol.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'

/** An upstream as it would be served. */
export interface UpstreamInspection {
  readonly payer: string
  readonly name: string
  /** The model to ask for. */
  readonly model: string
  readonly url: string
  /** CAIP-2. */
  readonly network: string
  readonly pay_to: string
  readonly method: VoucherPool['method']
  /** Of one request, smallest units. */
  readonly price: string
  /** The same in USD; `null` for an asset without a value. */
  readonly price_usd: string | null
  readonly symbol: string
  /** Vouchers that could be paid with now. */
  readonly ready: number
  /** Used before, as the state file says. */
  readonly used: number
  /** When the first ready one ends, ISO 8601. */
  readonly earliest_expiry: string | null
}

/** What was found in the files of all pools. */
export interface FilesInspection {
  readonly upstreams: readonly UpstreamInspection[]
  /** Sentences: what would not be served, and why the gateway would not start. */
  readonly problems: readonly string[]
  /** Why the gateway would not start, by payer. */
  readonly refusals: ReadonlyMap<string, string>
}

/** Looks at the files of every pool that has any. @param now milliseconds since the epoch */
export async function inspectFiles(
  { payers, assets }: Pick<ResolvedConfig, 'payers' | 'assets'>,
  now: number,
): Promise<FilesInspection> {
  const looks: FilesInspection[] = []
  for (const [name, payer] of payers) {
    if (payer.kind === 'obol' && payer.mode === 'pool' && payer.paths) {
      looks.push(await lookAtPool(name, payer, payer.paths, { assets, now }))
    }
  }
  return {
    upstreams: looks.flatMap(({ upstreams }) => upstreams),
    problems: looks.flatMap(({ problems }) => problems),
    refusals: new Map(looks.flatMap(({ refusals }) => [...refusals])),
  }
}

interface Setting {
  readonly assets: ResolvedConfig['assets']
  readonly now: number
}

async function lookAtPool(
  payer: string,
  { state, limits }: ResolvedObolPool,
  paths: NonNullable<ResolvedObolPool['paths']>,
  { assets, now }: Setting,
): Promise<FilesInspection> {
  let files: ObolFiles
  let consumed: ReadonlyMap<string, ReadonlySet<string>>
  try {
    files = await readObolFiles(paths)
    consumed = state === undefined ? new Map() : readConsumed(state)
  } catch (error) {
    if (!(error instanceof ObolFilesError) && !(error instanceof ConfigError)) throw error
    return {
      upstreams: [],
      problems: [`payers.${payer}: ${error.message} The gateway would not start.`],
      refusals: new Map([[payer, error.message]]),
    }
  }
  const upstreams: UpstreamInspection[] = []
  const problems = [...files.unreadable.values()]
  const check = new VoucherCheck({ assets })
  // The limits are the payer's: what one upstream takes the next one has not.
  let [freeCount, freeMicroUsd] = [0, 0n]
  for (const [name, document] of files.upstreams) {
    const used = consumed.get(name) ?? new Set<string>()
    const read = await readUpstream({ payer, name, document, files, used, assets, check })
    if (typeof read === 'string') {
      problems.push(`upstream ${name} would not be served: ${read}`)
      continue
    }
    const { pool } = read
    const standing = { pool, freeCount, freeMicroUsd, signedTotal: 0, signedToday: 0n, orderLeft: undefined }
    const options = { limits, at: now, signed: false }
    const { admitted, result } = admit(read.vouchers, standing, options, () => undefined)
    const vouchers = admitted.map(({ voucher }) => voucher)
    freeCount += vouchers.length
    freeMicroUsd += vouchers.reduce((sum, { microUsd = 0n }) => sum + microUsd, 0n)
    const refused = new Map([...read.refused, ...Object.entries(result.refused)])
    problems.push(...describeRefusals(refused).map((problem) => `upstream ${name}: ${problem}`))
    upstreams.push(lookOf(pool, document, { assets, now }, used.size, vouchers))
  }
  return { upstreams, problems, refusals: new Map() }
}

function lookOf(
  pool: VoucherPool,
  { url }: UpstreamDocument,
  { assets }: Setting,
  used: number,
  vouchers: readonly { readonly validBefore: number }[],
): UpstreamInspection {
  const { payer, name, remoteModel, network, payTo, method, amount, symbol } = pool
  const asset = findAsset(assets, network, pool.asset)
  const earliest = vouchers.reduce((least, { validBefore }) => Math.min(least, validBefore), Infinity)
  return {
    payer,
    name,
    model: `paid/${remoteModel ?? name}`,
    url,
    network,
    pay_to: payTo,
    method,
    price: amount.toString(),
    price_usd: asset?.usd ? formatUsd(toMicroUsd(amount, asset.decimals, asset.usd)) : null,
    symbol,
    ready: vouchers.length,
    used,
    earliest_expiry: vouchers.length === 0 ? null : new Date(earliest * 1000).toISOString(),
  }
}
