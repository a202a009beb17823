/** The work of `tollway catalog`: sources are added and read again, and stay proposals. */
import type { SourceKind } from '../../core/catalogue/listing.ts'
import type { Clock } from '../../core/clock.ts'
import { ConfigError, TollwayError } from '../../core/errors.ts'
import { printable } from '../../core/printable.ts'
import type { CatalogueIndex } from '../../io/catalogue/catalogue-index.ts'
import type { CatalogueSource } from '../../io/catalogue/indexed.ts'
import { unknownName } from '../../io/names/nearest-name.ts'
import type { DocumentReader } from './fetch-document.ts'
import { loadAgents, type AgentContext } from './load-agents.ts'
import { loadBazaar } from './load-bazaar.ts'
import { loadAddress, loadFiles, type Loaded } from './load-source.ts'
import { nameSource } from './source-address.ts'

/** What the commands work with. */
export interface CatalogueContext {
  readonly index: CatalogueIndex
  readonly reader: DocumentReader
  readonly clock: Clock
  /** For registries of agents; see {@link AgentContext}. */
  readonly agents: Pick<AgentContext, 'openChain' | 'ipfsGateway'>
}

/** A source that was read, or could not be. */
export interface Refreshed {
  readonly source: CatalogueSource
  readonly failure: string | undefined
}

/** How a source is added. */
export interface AddOptions {
  /** Made from the address by default. */
  readonly name: string | undefined
  /** For registries of agents: the first block that is read. */
  readonly fromBlock?: bigint | undefined
}

/**
 * Adds a source and reads it. One that cannot be read is not added.
 * @throws ConfigError for an address that is none
 * @throws TollwayError `seller_unavailable` with what was tried
 */
export async function addSource(
  context: CatalogueContext,
  address: string,
  options: AddOptions,
  signal: AbortSignal,
): Promise<CatalogueSource> {
  const { name, fromBlock } = options
  const { index, clock } = context
  const named = nameSource(address, name)
  const known = index.sources().find((source) => source.name === named.name)
  if (
    known &&
    name === undefined &&
    known.address !== named.address &&
    !known.address.startsWith(named.address)
  )
    throw new ConfigError(
      `A source named ${named.name} is already known, at ${known.address}. Give this one another name with --name.`,
    )
  const loaded = await load(context, { ...named, nextBlock: fromBlock }, signal)
  if ('failure' in loaded) throw unreadable(named.address, loaded.failure)
  index.addSource({ name: named.name, kind: loaded.kind, address: loaded.address }, clock.now())
  index.store(named.name, loaded, clock.now())
  return sourceOf(index, named.name)
}

/**
 * Reads sources again. The listings of one that cannot be read stay.
 * @param name of one; all when it is not given
 * @throws ConfigError for a name that is not known
 */
export async function refreshSources(
  context: CatalogueContext,
  name: string | undefined,
  signal: AbortSignal,
): Promise<Refreshed[]> {
  const { index, clock } = context
  const all = index.sources()
  const wanted = name === undefined ? all : [sourceOf(index, name)]
  const done: Refreshed[] = []
  for (const source of wanted) {
    const loaded = await load(context, source, signal)
    if ('failure' in loaded) index.fail(source.name, printable(loaded.failure, 1000))
    else index.store(source.name, loaded, clock.now())
    done.push({
      source: sourceOf(index, source.name),
      failure: 'failure' in loaded ? loaded.failure : undefined,
    })
  }
  return done
}

interface LoadedFrom {
  readonly address: string
  /** `undefined` when the document must tell. */
  readonly kind: SourceKind | undefined
  readonly nextBlock?: bigint | undefined
}

/** @throws ConfigError with the nearest name */
export function sourceOf(index: CatalogueIndex, name: string): CatalogueSource {
  const all = index.sources()
  const found = all.find((source) => source.name === name)
  if (found) return found
  throw new ConfigError(
    all.length === 0
      ? 'No catalogue is known yet. Add one: tollway catalog add https://seller.example.com.'
      : unknownName(
          'source',
          name,
          all.map((source) => source.name),
        ),
  )
}

async function load(
  { reader, agents }: CatalogueContext,
  { kind, address, nextBlock }: LoadedFrom,
  signal: AbortSignal,
): Promise<Loaded> {
  if (kind === 'erc8004') return await loadAgents(address, nextBlock, { ...agents, reader }, signal)
  if (!/^https?:/.test(address)) return loadFiles(address, undefined)
  if (kind === 'bazaar') return await loadBazaar(address, reader, signal)
  const loaded = await loadAddress(address, kind, reader, signal)
  // Its first page told what it is.
  const isBazaar = 'kind' in loaded && loaded.kind === 'bazaar'
  return isBazaar ? await loadBazaar(loaded.address, reader, signal) : loaded
}

function unreadable(address: string, failure: string): TollwayError {
  return new TollwayError({
    code: 'seller_unavailable',
    message: `${address} was not added: ${printable(failure, 1000)}.`,
    advice: ['Name the document itself, such as https://seller.example.com/openapi.json. Nothing was paid.'],
  })
}
