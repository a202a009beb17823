/** What a catalogue says about one paid service, in one form for every kind of catalogue. All of it is the words of strangers. */

/** What is sold. */
export type ListingKind = 'inference' | 'http' | 'agent' | 'mcp' | 'other'

/** A price as a catalogue states it. For display: what is paid is the price of the 402, within the policy. */
export interface ListedPrice {
  /** USD, decimal text; `undefined` when the catalogue states it in another unit. */
  readonly usd: string | undefined
  /** What it is for, such as `request` or `input tokens`. */
  readonly unit: string
  /** How many units it is for. */
  readonly per: number
  /** Text for people, such as `0.01 USDC per request`. */
  readonly text: string
}

/** A way to pay that a catalogue names. A 402 that differs from it is flagged. */
export interface ListedTerms {
  /** CAIP-2 where the network is known, else the catalogue's name. */
  readonly network: string
  /** Contract or mint. */
  readonly asset: string | undefined
  readonly payTo: string | undefined
  /** Smallest units of one request. */
  readonly amount: string | undefined
  readonly scheme: string | undefined
}

/** Why a catalogue lists a service as one that cannot be used. */
export interface Obstacle {
  /** The catalogue's name of the reason, such as `mpp_protocol`. */
  readonly reason: string
  readonly explanation: string
  /** Whether the catalogue's makers expect it to change. */
  readonly actionable: boolean
}

/** One paid service. */
export interface Listing {
  /** Unique in its source. */
  readonly id: string
  readonly kind: ListingKind
  readonly name: string
  /** What listings are grouped by. */
  readonly service: string
  readonly summary: string
  /** Intents, tags and categories. */
  readonly words: readonly string[]
  /** The seller's name of a model. */
  readonly model: string | undefined
  /** Where it is called; `undefined` when the catalogue names no usable address. */
  readonly url: string | undefined
  /** Upper case; `undefined` when the catalogue names none. */
  readonly method: string | undefined
  readonly prices: readonly ListedPrice[]
  readonly terms: readonly ListedTerms[]
  readonly obstacle: Obstacle | undefined
  /** The catalogue's own last look at the service, as it writes it: result and time. */
  readonly check: { readonly status: string; readonly at: string | undefined } | undefined
  /** When the seller ends the service, RFC 3339. */
  readonly endsAt: string | undefined
  /** The entry as it was published, JSON, fields that are not known here included; `undefined` when it is too long to keep. */
  readonly raw: string | undefined
}

/** What was read of a document. */
export interface ReadCatalogue {
  readonly listings: readonly Listing[]
  /** Entries that could not be read. */
  readonly skipped: number
  /** When the catalogue was made, as it says itself. */
  readonly generatedAt: string | undefined
  /** Further documents that belong to it, such as the details of its entries. */
  readonly more: readonly string[]
}

/** The kinds of documents that are read. */
export type CatalogueKind = 'paysh' | 'pay-skills' | 'services' | 'openapi' | 'bazaar'

/** The kinds of sources: documents, and registries of ERC-8004 agents on a chain. */
export type SourceKind = CatalogueKind | 'erc8004'
