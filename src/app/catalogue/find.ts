/** `tollway find`: who sells a model or meets a need, what it costs, whether it can be paid, and the route that would use it. */
import { differencesOf } from '../../core/catalogue/compare-terms.ts'
import type { Listing } from '../../core/catalogue/listing.ts'
import { modelEntry } from '../../core/catalogue/model-entry.ts'
import { ConfigError } from '../../core/errors.ts'
import { formatUsd } from '../../core/money/money.ts'
import { printable } from '../../core/printable.ts'
import type { CatalogueIndex } from '../../io/catalogue/catalogue-index.ts'
import type { IndexedListing, ProbeRecord } from '../../io/catalogue/indexed.ts'
import { readInference } from '../buying/endpoint.ts'
import { askNow } from './ask-now.ts'
import type { Buyer } from './buyer.ts'
import type { CatalogueContext } from './catalogue.ts'
import { judgeListed, judgeOffers, valued, type Judgement } from './judge.ts'
import { searchBazaar } from './load-bazaar.ts'

/** What to look for, and whom to ask. */
export interface FindRequest {
  readonly words: string
  readonly limit: number
  readonly source: string | undefined
  /** Asks each seller for its price now, without paying. */
  readonly isProbing: boolean
  /** Asks the Bazaars among the sources, besides the index. */
  readonly isOnline: boolean
}

/** A listing that fits. */
export interface Found extends IndexedListing {
  readonly judgement: Judgement
  /** Whether the seller was asked just now. */
  readonly isAsked: boolean
  /** What differs between the 402 and the catalogue. */
  readonly differences: readonly string[]
  /** What the seller answered the last time it was asked. */
  readonly last: ProbeRecord | undefined
  /** An entry of `model_list`, as YAML. */
  readonly entry: string | undefined
}

/** What was found, and which sources could not be asked. */
export interface FoundAll {
  readonly found: readonly Found[]
  readonly problems: readonly string[]
}

/** Searches, and asks only those that the request says. Pays nothing and changes no policy. */
export async function find(
  context: CatalogueContext,
  request: FindRequest,
  buyer: Buyer,
  signal: AbortSignal,
): Promise<FoundAll> {
  const problems = request.isOnline ? await searchOnline(context, request, signal) : []
  const listed = context.index.search(request.words, request.limit, request.source)
  const found = await Promise.all(listed.map((one) => examine(context, one, request, buyer, signal)))
  return { found, problems }
}

/** Adds what the Bazaars answer to the index. @returns why some could not be asked */
async function searchOnline(
  { index, reader, clock }: CatalogueContext,
  { words, source }: FindRequest,
  signal: AbortSignal,
): Promise<string[]> {
  const bazaars = index
    .sources()
    .filter(({ name, kind }) => kind === 'bazaar' && (source === undefined || name === source))
  const problems: string[] = []
  for (const { name, address } of bazaars) {
    const answer = await searchBazaar(address, words, reader, signal)
    if ('failure' in answer) problems.push(`${name}: ${printable(answer.failure, 500)}`)
    else index.add(name, answer, clock.now())
  }
  return problems
}

async function examine(
  { index, reader, clock }: CatalogueContext,
  one: IndexedListing,
  { isProbing }: FindRequest,
  buyer: Buyer,
  signal: AbortSignal,
): Promise<Found> {
  const { listing } = one
  const listed = judgeListed(listing, buyer, clock.now())
  const entry = entryOf(listing, listed)
  // What a catalogue says cannot be used is explained and never called.
  if (!isProbing || listing.url === undefined || listing.obstacle)
    return {
      ...one,
      judgement: listed,
      isAsked: false,
      differences: [],
      last: lastProbe(index, listing),
      entry,
    }
  const { status, challenge, problem } = await askNow(reader.upstream, listing, signal)
  const differences = challenge ? differencesOf(listing, valued(challenge, buyer)) : []
  const judgement = challenge
    ? judgeOffers(challenge, new URL(listing.url).origin, buyer)
    : { ...listed, payable: 'no' as const, why: problem ?? 'It asks for no payment.' }
  const { payable, why, microUsd } = judgement
  const last = {
    at: clock.now(),
    status,
    usd: microUsd === undefined ? undefined : formatUsd(microUsd),
    payable: payable === 'yes',
    note: printable([...differences, ...(payable === 'yes' ? [] : [why])].join(' '), 600),
  }
  index.noteProbe(listing.url, listing.method ?? 'GET', last)
  const byOffer = entryOf(listing, { ...listed, payer: judgement.payer ?? listed.payer })
  return { ...one, judgement, isAsked: true, differences, last, entry: byOffer }
}

function lastProbe(index: CatalogueIndex, { url, method }: Listing): ProbeRecord | undefined {
  return url === undefined ? undefined : index.probes(url, method ?? 'GET')[0]
}

/** The entry pins what the catalogue names, so that a 402 that differs is refused. */
function entryOf(listing: Listing, { payer, network, asset, payTo }: Judgement): string | undefined {
  if (listing.url === undefined || listing.obstacle) return undefined
  try {
    const { apiBase } = readInference(listing.url)
    return modelEntry(listing, apiBase, { payer, network, asset, payTo })
  } catch (error) {
    // Plain http to another machine: no route may lead there.
    if (error instanceof ConfigError) return undefined
    throw error
  }
}
