/** Reads the agents of an ERC-8004 registry: their events, the files that these name, and whether their domains say the same. */
import {
  namesAgent,
  originsOf,
  readRegistration,
  type AgentReference,
  type DomainProof,
} from '../../core/catalogue/read-registration.ts'
import type { Listing } from '../../core/catalogue/listing.ts'
import { ConfigError } from '../../core/errors.ts'
import { ChainError, type ChainReader } from '../../io/chain/chain.ts'
import { readAgents, type RegisteredAgent } from '../../io/catalogue/agent-registry.ts'
import type { DocumentReader } from './fetch-document.ts'
import type { Loaded } from './load-source.ts'
import { parseDocument } from './parse-document.ts'

/** How agents are read. */
export interface AgentContext {
  readonly reader: DocumentReader
  /** The node of a network. @throws ConfigError where none is configured */
  openChain(network: string): Promise<ChainReader>
  /** Base of the gateway for `ipfs:` addresses, such as `https://ipfs.example.com`. */
  readonly ipfsGateway: string | undefined
}

/** Files that are read at once. */
const AT_ONCE = 8
/** The most domains of one agent that are asked for its proof. */
const MAX_ORIGINS = 3

/**
 * @param address `erc8004:<CAIP-2>:<registry>`
 * @param from the first block that was not read yet
 */
export async function loadAgents(
  address: string,
  from: bigint | undefined,
  context: AgentContext,
  signal: AbortSignal,
): Promise<Loaded> {
  const [, network = '', registry = ''] = /^erc8004:(.+):(0x[0-9a-f]{40})$/.exec(address) ?? []
  const chain = await context.openChain(network)
  try {
    const { agents, nextBlock } = await readAgents(chain, registry, from)
    const listings: Listing[] = []
    let skipped = 0
    for (let at = 0; at < agents.length; at += AT_ONCE) {
      signal.throwIfAborted()
      const some = agents.slice(at, at + AT_ONCE)
      const read = await Promise.all(
        some.map((agent) => loadAgent(agent, { network, registry }, context, signal)),
      )
      skipped += read.filter((found) => found === undefined).length
      listings.push(...read.flatMap((found) => found ?? []))
    }
    const replaces = agents.map(({ agentId }) => `${agentId}/`)
    return { kind: 'erc8004', address, listings, skipped, generatedAt: undefined, nextBlock, replaces }
  } catch (error) {
    if (error instanceof ChainError) return { failure: error.message }
    throw error
  } finally {
    chain.close()
  }
}

async function loadAgent(
  { agentId, uri }: RegisteredAgent,
  place: Pick<AgentReference, 'network' | 'registry'>,
  context: AgentContext,
  signal: AbortSignal,
): Promise<readonly Listing[] | undefined> {
  const document = await documentAt(uri, context, signal)
  if (document === undefined) return undefined
  const agent = { ...place, agentId }
  const plain = readRegistration(document, agent)
  // Domains of agents that cannot be paid need no proof.
  if (!plain?.some(({ obstacle }) => obstacle === undefined)) return plain
  const proofs = new Map<string, DomainProof>()
  for (const origin of originsOf(document).slice(0, MAX_ORIGINS)) {
    const own = await documentAt(`${origin}/.well-known/agent-registration.json`, context, signal)
    proofs.set(origin, own !== undefined && namesAgent(own, agent) ? 'proven' : 'missing')
  }
  return readRegistration(document, agent, proofs)
}

/** The JSON at an `https:`, `data:` or `ipfs:` address; `undefined` when there is none. */
async function documentAt(
  uri: string,
  { reader, ipfsGateway }: AgentContext,
  signal: AbortSignal,
): Promise<unknown> {
  const inside = dataOf(uri)
  if (inside !== undefined) return parseDocument(inside)
  const place = httpOf(uri, ipfsGateway)
  if (place === undefined) return undefined
  try {
    const fetched = await reader.read(place, signal)
    return 'text' in fetched ? parseDocument(fetched.text) : undefined
  } catch (error) {
    // No address that may be read.
    if (error instanceof ConfigError) return undefined
    throw error
  }
}

/** Where an agent's file is read: at its own address, or by its content's name at the gateway for `ipfs:`. */
export function httpOf(uri: string, ipfsGateway: string | undefined): string | undefined {
  if (/^https?:\/\//.test(uri)) return uri
  const path = /^ipfs:\/\/(?:ipfs\/)?([A-Za-z0-9]{40,100}(?:\/[\w.~%-]+){0,8})$/.exec(uri)?.[1]
  if (path === undefined || ipfsGateway === undefined || isLeading(path)) return undefined
  return `${ipfsGateway.replace(/\/+$/, '')}/ipfs/${path}`
}

/** Whether a path leads out of where it begins, as it is or as a gateway may decode it. */
function isLeading(path: string): boolean {
  try {
    return decodeURIComponent(path)
      .split(/[/\\]/)
      .some((name) => name === '.' || name === '..')
  } catch {
    return true
  }
}

/** The text of a `data:` address of JSON. */
function dataOf(uri: string): string | undefined {
  const [, base64, data = ''] =
    /^data:application\/json(?:;charset=utf-8)?(;base64)?,([\s\S]*)$/i.exec(uri) ?? []
  if (!uri.startsWith('data:')) return undefined
  try {
    return base64 === undefined ? decodeURIComponent(data) : Buffer.from(data, 'base64').toString('utf8')
  } catch {
    return ''
  }
}
