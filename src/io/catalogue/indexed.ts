/** What the catalogue's index holds. */
import type { Listing, SourceKind } from '../../core/catalogue/listing.ts'

/** Where listings come from. */
export interface CatalogueSource {
  readonly name: string
  readonly kind: SourceKind
  /** URL, absolute path, or `erc8004:<CAIP-2>:<registry>`. */
  readonly address: string
  /** Milliseconds since the epoch; `undefined` before it was read. */
  readonly readAt: number | undefined
  /** As the catalogue says itself. */
  readonly generatedAt: string | undefined
  readonly listings: number
  /** Entries that could not be read. */
  readonly skipped: number
  /** Why the last reading failed; the listings are those of the one before. */
  readonly problem: string | undefined
  /** For registries on a chain: the first block that was not read yet. */
  readonly nextBlock: bigint | undefined
}

/** A listing in the index. */
export interface IndexedListing {
  readonly source: string
  readonly listing: Listing
  /** When its source was read with it, milliseconds since the epoch. */
  readonly seenAt: number
}

/** What an unpaid question to a seller found. */
export interface ProbeRecord {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly status: number | undefined
  /** USD of the cheapest offer that can be paid, decimal text. */
  readonly usd: string | undefined
  readonly payable: boolean
  readonly note: string
}
