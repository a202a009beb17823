/**
 * Exact and fast sums of a rolling window. In addition to the share of every charge, the store keeps sums per second, minute,
 * hour and day. A window that starts at any millisecond is then the sum of a few shares, at most 59 seconds, 59 minutes and
 * 23 hours, and whole days. The window has no end: charges that were reserved before the clock was set back still count, so
 * that no window of this length ever exceeds the limit.
 */
import { addTotals, counted, NO_TOTALS, type Claim, type Totals } from '../../../core/budget/budget.ts'

/** The units of time that sums are kept for, finest first. Each divides the next. */
export const TILES = [
  { window: 'rolling-second', ms: 1_000 },
  { window: 'rolling-minute', ms: 60_000 },
  { window: 'rolling-hour', ms: 3_600_000 },
  { window: 'rolling-day', ms: 86_400_000 },
] as const

/** The name that a tile's sums are stored under, in place of a budget's window. */
export type TileWindow = (typeof TILES)[number]['window']

/** The tile that is searched to find the subjects of a budget. */
export const COARSEST = TILES[3]

/** The sums of an instant or tile. `at` is the reservation, or the start of the tile; milliseconds since the epoch. */
export interface Dated {
  readonly at: number
  readonly totals: Totals
}

/** Reads the shares and tiles of one budget and subject, by time. `from` is inclusive, `to` exclusive. */
export interface RollingReader {
  /** The share of each charge. */
  shares(from: number, to: number): readonly Dated[]
  tiles(window: TileWindow, from: number, to: number): readonly Dated[]
}

/** A span of time and its sums; `ms` is 0 for the share of one charge. */
interface Piece extends Dated {
  readonly ms: number
}

/** Later than any instant a charge can have. */
const FOREVER = Number.MAX_SAFE_INTEGER

/**
 * The first instant that counts: a charge counts until exactly the window's length after its reservation. A claim without a
 * length counts everything, so that a bug refuses payments instead of overspending.
 */
export function countsFrom(claim: Claim): number {
  return claim.lengthMs === undefined ? 0 : claim.windowStart - claim.lengthMs + 1
}

/**
 * The window starts among which a soft limit is reported only once: for a calendar window its own start, for a rolling window
 * all that overlap it.
 */
export function noticeRange(claim: Claim): { readonly from: number; readonly to: number } {
  return claim.window === 'rolling'
    ? { from: countsFrom(claim), to: FOREVER }
    : { from: claim.windowStart, to: claim.windowStart }
}

/** The name that an announced level is kept under beside the soft limit of the same window: `day@800000`. */
export function announcedWindow({ window }: Claim, level: bigint): string {
  return `${window}@${level}`
}

/** Everything that counts against a rolling claim. */
export function rollingTotals(claim: Claim, reader: RollingReader): Totals {
  return piecesFrom(countsFrom(claim), FOREVER, reader).reduce(
    (sum, { totals }) => addTotals(sum, totals),
    NO_TOTALS,
  )
}

/**
 * When enough has left the window for the claim to fit, provided that nothing else is charged; milliseconds since the epoch.
 * `undefined` when it never fits.
 */
export function rollingFreeAt(claim: Claim, reader: RollingReader): number | undefined {
  if (claim.amount > claim.limit) return undefined
  const pieces = piecesFrom(countsFrom(claim), FOREVER, reader)
  const sum = pieces.reduce((total, piece) => total + counted(piece.totals), 0n)
  const excess = sum + claim.amount - claim.limit
  if (excess <= 0n) return claim.windowStart
  const last = whereReached(pieces, excess, reader)
  return last === undefined ? undefined : last + (claim.lengthMs ?? 0)
}

/** The instant at which the sums, added up from the oldest, first reach `wanted`. */
function whereReached(pieces: readonly Piece[], wanted: bigint, reader: RollingReader): number | undefined {
  let sum = 0n
  for (const piece of pieces) {
    const next = sum + counted(piece.totals)
    if (next >= wanted) {
      if (piece.ms === 0) return piece.at
      return whereReached(piecesIn(piece, reader), wanted - sum, reader)
    }
    sum = next
  }
  return undefined
}

/** Splits a tile into pieces of the next finer kind. */
function piecesIn({ at, ms }: Piece, reader: RollingReader): Piece[] {
  const finer = TILES.findLast((tile) => tile.ms < ms)
  return finer === undefined ? sharesOf(at, at + ms, reader) : tilesOf(finer, at, at + ms, reader)
}

/** Everything in a span of time as the coarsest pieces that fit into it, oldest first. */
function piecesFrom(from: number, to: number, reader: RollingReader): Piece[] {
  const pieces: Piece[] = []
  let at = from
  for (const [index, tile] of TILES.entries()) {
    const end = Math.min(to, Math.ceil(at / tile.ms) * tile.ms)
    const finer = TILES[index - 1]
    if (at < end) {
      pieces.push(...(finer === undefined ? sharesOf(at, end, reader) : tilesOf(finer, at, end, reader)))
    }
    at = end
  }
  return [...pieces, ...tilesOf(COARSEST, at, to, reader)]
}

function sharesOf(from: number, to: number, reader: RollingReader): Piece[] {
  return reader.shares(from, to).map((share) => ({ ...share, ms: 0 }))
}

function tilesOf(tile: (typeof TILES)[number], from: number, to: number, reader: RollingReader): Piece[] {
  return reader.tiles(tile.window, from, to).map((found) => ({ ...found, ms: tile.ms }))
}
