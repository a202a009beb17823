/** The registration file of an ERC-8004 agent: what its `tokenURI` leads to, and what its own domain must repeat. */
import { z } from 'zod'
import { property } from '../property.ts'
import { cleanText, cleanUrl, cleanWords, rawOf, TEXT_LIMITS } from './clean.ts'
import type { Listing, Obstacle } from './listing.ts'

/** Which agent a file is about. */
export interface AgentReference {
  /** CAIP-2. */
  readonly network: string
  /** The registry's contract, lower case. */
  readonly registry: string
  readonly agentId: bigint
}

const SERVICE = z.looseObject({
  name: z.string(),
  endpoint: z.string(),
  skills: z.unknown().optional(),
  domains: z.unknown().optional(),
})
const FILE = z.looseObject({
  name: z.string().min(1),
  description: z.unknown().optional(),
  services: z.array(z.unknown()).optional().catch(undefined),
  endpoints: z.array(z.unknown()).optional().catch(undefined),
  x402Support: z.unknown().optional(),
  x402support: z.unknown().optional(),
  active: z.unknown().optional(),
})
/** The most services of one agent. */
const MAX_SERVICES = 20

/** How the domain of an agent's service stands to its registration. */
export type DomainProof = 'proven' | 'missing' | 'not asked'

/**
 * The services of an agent that can be called over http.
 * @param proofs by origin: whether the domain repeats the registration
 * @returns `undefined` for a file that is no registration
 */
export function readRegistration(
  document: unknown,
  agent: AgentReference,
  proofs: ReadonlyMap<string, DomainProof> = new Map(),
): readonly Listing[] | undefined {
  const parsed = FILE.safeParse(document)
  if (!parsed.success) return undefined
  const { name, description, services, endpoints, active } = parsed.data
  const isPaid = parsed.data.x402Support === true || parsed.data.x402support === true
  const title = cleanText(name, TEXT_LIMITS.name)
  const listed = (services ?? endpoints ?? []).slice(0, MAX_SERVICES)
  return listed.flatMap((entry, index) => {
    const service = SERVICE.safeParse(entry)
    const url = cleanUrl(service.data?.endpoint)
    if (!service.success || url === undefined) return []
    const { name: kind, skills, domains } = service.data
    const proof = proofs.get(new URL(url).origin) ?? 'not asked'
    return [
      {
        id: `${agent.agentId}/${index}`,
        kind: kind.toLowerCase() === 'mcp' ? ('mcp' as const) : ('agent' as const),
        name: cleanText(`${title} ${kind}`, TEXT_LIMITS.name),
        service: title,
        summary: cleanText(description, TEXT_LIMITS.summary),
        words: [...cleanWords([kind]), ...cleanWords(skills), ...cleanWords(domains)],
        model: undefined,
        url,
        method: undefined,
        prices: [],
        terms: [],
        obstacle: obstacleOf(active, isPaid),
        check: { status: `domain ${proof}`, at: undefined },
        endsAt: undefined,
        raw: rawOf(document),
      },
    ]
  })
}

/** The origins whose domain proof can be asked for. */
export function originsOf(document: unknown): string[] {
  const parsed = FILE.safeParse(document)
  const services = (parsed.data?.services ?? parsed.data?.endpoints ?? []).slice(0, MAX_SERVICES)
  const urls = services.flatMap((entry) => cleanUrl(property(entry, 'endpoint')) ?? [])
  return [...new Set(urls.map((url) => new URL(url).origin))].filter((origin) => origin.startsWith('https:'))
}

/** Whether a domain's own `/.well-known/agent-registration.json` names the registration. */
export function namesAgent(document: unknown, { network, registry, agentId }: AgentReference): boolean {
  const list = property(document, 'registrations')
  if (!Array.isArray(list)) return false
  return list.slice(0, 100).some((entry) => {
    const place = property(entry, 'agentRegistry')
    const id = property(entry, 'agentId')
    return (
      typeof place === 'string' &&
      place.toLowerCase() === `${network}:${registry}` &&
      (typeof id === 'number' || typeof id === 'string') &&
      String(id) === agentId.toString()
    )
  })
}

function obstacleOf(active: unknown, isPaid: boolean): Obstacle | undefined {
  if (active === false)
    return {
      reason: 'not_active',
      explanation: 'Its registration says that it is not active.',
      actionable: false,
    }
  if (!isPaid)
    return {
      reason: 'no_x402',
      explanation: 'Its registration does not say that it takes x402.',
      actionable: false,
    }
  return undefined
}
