/**
 * Sums of a rolling window, exact and fast: beside every charge's own share, sums are kept per second, minute, hour and
 * day. A window that began at any millisecond is then a few shares, at most 59 seconds, 59 minutes and 23 hours,
 * and whole days from there on. Open towards the future: when the clock has gone back, what it reserved
 * before still counts, so that no window of that length ever holds more than the limit.
 */
import { addTotals, counted, NO_TOTALS, type Claim, type Totals } from '../../../core/budget/budget.ts'

/** Units of time that sums are kept for, finest first; each divides the next. */
export const TILES = [
  { window: 'rolling-second', ms: 1_000 },
  { window: 'rolling-minute', ms: 60_000 },
  { window: 'rolling-hour', ms: 3_600_000 },
  { window: 'rolling-day', ms: 86_400_000 },
] as const

/** What the sums of a tile are kept under in place of a budget's window. */
export type TileWindow = (typeof TILES)[number]['window']

/** The tile that instants are looked up in to find the subjects of a budget. */
export const COARSEST = TILES[3]

/** Sums of an instant or tile: `at` is the reservation, or the start of the tile. */
export interface Dated {
  readonly at: number
  readonly totals: Totals
}

/** Reads what is kept for one budget and subject: from inclusive, to exclusive, by time. */
export interface RollingReader {
  /** Every charge's share by itself. */
  shares(from: number, to: number): readonly Dated[]
  tiles(window: TileWindow, from: number, to: number): readonly Dated[]
}

/** A stretch of time and what it holds; `ms` is 0 for the share of one charge. */
interface Piece extends Dated {
  readonly ms: number
}

/** Later than any instant a charge can have. */
const FOREVER = Number.MAX_SAFE_INTEGER

/**
 * The first instant that counts: a charge counts until exactly the window's length after its reservation. A claim without a
 * length counts everything, so that a mistake of ours refuses instead of overspending.
 */
export function countsFrom(claim: Claim): number {
  return claim.lengthMs === undefined ? 0 : claim.windowStart - claim.lengthMs + 1
}

/** Starts of the windows in which a soft limit need be told once: of a calendar window its own, of a rolling one all that overlap. */
export function noticeRange(claim: Claim): { readonly from: number; readonly to: number } {
  return claim.window === 'rolling'
    ? { from: countsFrom(claim), to: FOREVER }
    : { from: claim.windowStart, to: claim.windowStart }
}

/** Everything that counts against a rolling claim. */
export function rollingTotals(claim: Claim, reader: RollingReader): Totals {
  return piecesFrom(countsFrom(claim), FOREVER, reader).reduce(
    (sum, { totals }) => addTotals(sum, totals),
    NO_TOTALS,
  )
}

/**
 * When so much has aged out of the window that the claim fits, should nothing else happen: milliseconds since the epoch;
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

/** The instant at which the sums, taken from the oldest on, first reach `wanted`. */
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

/** A tile in the pieces of the next finer kind. */
function piecesIn({ at, ms }: Piece, reader: RollingReader): Piece[] {
  const finer = TILES.findLast((tile) => tile.ms < ms)
  return finer === undefined ? sharesOf(at, at + ms, reader) : tilesOf(finer, at, at + ms, reader)
}

/** Everything in a stretch of time by the coarsest pieces that fit into it, oldest first. */
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
