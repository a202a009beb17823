/** The registry of ERC-8004 agents on one chain: which agents were registered or changed, by its events. */
import { decodeAbiParameters, toEventSelector } from 'viem'
import { ChainError, type ChainLog, type ChainReader } from '../chain/chain.ts'

/** An agent's newest `tokenURI` in a range of blocks. */
export interface RegisteredAgent {
  readonly agentId: bigint
  readonly uri: string
  readonly blockNumber: bigint
}

/** What a range gave. */
export interface AgentRange {
  /** In the order of their newest event. */
  readonly agents: readonly RegisteredAgent[]
  /** The first block that was not read. */
  readonly nextBlock: bigint
}

/** `Registered` and `URIUpdated` of the EIP, and the name that earlier deployments gave the second. */
const TOPICS = [
  toEventSelector('Registered(uint256,string,address)'),
  toEventSelector('URIUpdated(uint256,string,address)'),
  toEventSelector('UriUpdated(uint256,string,address)'),
]

/** How many blocks are first looked at without a start: a chain has no list of its agents. */
const FIRST_RANGE = 500_000n
const FIRST_PAGE = 10_000n
const SMALLEST_PAGE = 10n
/** The most questions to a node in one run; the next one continues. */
const MAX_PAGES = 200
/** The most agents of one run. */
const MAX_AGENTS = 300
/** The longest URI that is kept; documents inside it (`data:`) count. Characters. */
const MAX_URI = 262_144

/**
 * Reads final blocks only, so that what it found stays.
 * @param from the first block; without it the newest 500,000
 * @throws ChainError when the node gives no usable answer, or refuses even small ranges
 */
export async function readAgents(
  reader: ChainReader,
  registry: string,
  from: bigint | undefined,
): Promise<AgentRange> {
  const { number: head } = await reader.finalBlock()
  const agents = new Map<bigint, RegisteredAgent>()
  let next = from ?? (head > FIRST_RANGE ? head - FIRST_RANGE : 0n)
  let page = FIRST_PAGE
  for (let asked = 0; asked < MAX_PAGES && next <= head && agents.size < MAX_AGENTS; asked += 1) {
    const end = next + page - 1n
    const to = end < head ? end : head
    const logs = await ask(reader, registry, next, to)
    if (logs === undefined) {
      if (to - next + 1n <= SMALLEST_PAGE) throw new ChainError('range_refused')
      page = page / 4n > SMALLEST_PAGE ? page / 4n : SMALLEST_PAGE
      continue
    }
    for (const log of logs) {
      const agent = agentOf(log, registry)
      if (!agent) continue
      agents.delete(agent.agentId)
      agents.set(agent.agentId, agent)
    }
    next = to + 1n
  }
  return { agents: [...agents.values()], nextBlock: next }
}

/** @returns `undefined` when the range is too large for the node */
async function ask(
  reader: ChainReader,
  address: string,
  from: bigint,
  to: bigint,
): Promise<readonly ChainLog[] | undefined> {
  try {
    return await reader.logs({ address, topics: [TOPICS], from, to })
  } catch (error) {
    const isRefused = error instanceof ChainError && /^(?:rpc_error|bad_answer|http_4)/.test(error.reason)
    if (!isRefused || error.reason === 'http_429') throw error
    return undefined
  }
}

/** Nodes are not trusted: a log that was not asked for, or cannot be read, is left out. */
function agentOf(
  { address, topics, data, blockNumber }: ChainLog,
  registry: string,
): RegisteredAgent | undefined {
  const [topic, id] = topics
  if (address !== registry || id === undefined || !/^0x[0-9a-f]{64}$/.test(id)) return undefined
  if (!TOPICS.some((known) => known === topic)) return undefined
  if (data.length > MAX_URI * 2 || !/^0x(?:[0-9a-f]{2})*$/i.test(data)) return undefined
  try {
    const [uri] = decodeAbiParameters([{ type: 'string' }], `0x${data.slice(2)}`)
    return { agentId: BigInt(id), uri, blockNumber }
  } catch {
    return undefined
  }
}
