/** Model routes, in LiteLLM's vocabulary: the most specific name wins, then `order`. */
import { ConfigError } from '../errors.ts'
import type { PaymentHeaderChoice } from '../x402/payment-headers.ts'
import { EXPORT_ROUTE } from '../vouchers/voucher.ts'
import {
  capture,
  fillStars,
  matchesPattern,
  parsePattern,
  specificity,
  starsOf,
  type NamePattern,
} from '../name-pattern.ts'

/** The timeouts of one route, milliseconds; the gateway's by default. */
export interface RouteTimeouts {
  readonly connectMs?: number | undefined
  /** From the sent request to the response headers. */
  readonly firstByteMs?: number | undefined
  /** Longest silence within the response body. */
  readonly idleMs?: number | undefined
  /** The whole exchange, body included. */
  readonly totalMs?: number | undefined
}

/** When a route applies: every given condition must match. */
export interface RouteCondition {
  /** Caller ids, exact or with `*`. */
  readonly callers?: readonly string[] | undefined
  /** Lower-case header names and the value they must have: exact, or with `*`. */
  readonly headers?: ReadonlyMap<string, string> | undefined
}

/** What `GET /v1/models` lists about a model. */
export interface ModelInfo {
  /** Input and output tokens together. */
  readonly contextWindow?: number | undefined
  /** Tokens. */
  readonly maxOutputTokens?: number | undefined
  /** Catalogue price per request, micro-USD. */
  readonly microUsdPerRequest?: bigint | undefined
  /** Catalogue prices per token, USD, decimal strings as written. */
  readonly inputUsdPerToken?: string | undefined
  readonly outputUsdPerToken?: string | undefined
  /** Of output that is thought and not sent; default as other output. */
  readonly reasoningUsdPerToken?: string | undefined
  /** Of input that was read from a cache; default as other input. */
  readonly cachedInputUsdPerToken?: string | undefined
  /** Of input that was written to a cache; default as other input. */
  readonly cacheWriteUsdPerToken?: string | undefined
  /** Of a picture in the request; at `/images/*`, of one that is made, unless {@link outputUsdPerImage} is given. */
  readonly inputUsdPerImage?: string | undefined
  /** Of a picture that is made. */
  readonly outputUsdPerImage?: string | undefined
  /** Of a second of audio that is transcribed, elsewhere of a second that the call takes; the higher of the two counts. */
  readonly inputUsdPerSecond?: string | undefined
  readonly outputUsdPerSecond?: string | undefined
}

/** The only terms that a paid route accepts, whatever else its seller offers and its payer could pay. */
export interface RoutePin {
  /** CAIP-2. */
  readonly network: string
  /** Contract or mint, as it is compared; any of the network by default. */
  readonly asset?: string | undefined
  /** As they are compared; what policy allows by default. */
  readonly payTo?: readonly string[] | undefined
}

/** A route as configured, parsed. */
export interface Route {
  /** The public name: exact, or with `*`. */
  readonly modelName: string
  /** The seller's name for the model; each `*` is replaced by what the `*` of `modelName` at its place matched. */
  readonly model: string | undefined
  /** Without a trailing slash, e.g. `https://seller.example.com/v1`. */
  readonly apiBase: string
  /** The name of its payer; without one the route is unpaid. */
  readonly payer: string | undefined
  /** OpenTelemetry's `gen_ai.provider.name` of the seller or upstream; default the host of the api_base. */
  readonly provider?: string | undefined
  /** Bearer key of an unpaid upstream. */
  readonly apiKey: string | undefined
  /** Whether the client's Authorization is forwarded: only to the default upstream, and only if no callers are configured. */
  readonly forwardCredentials?: boolean | undefined
  /** Whether a body that came compressed is sent as it came: the default upstream gets every byte unchanged. */
  readonly sendEncoded?: boolean | undefined
  /** The User-Agent sent to a paid seller; default `tollway`. */
  readonly userAgent?: string | undefined
  /** The header that this seller reads payments from; default the one of the x402 version. */
  readonly paymentHeader?: PaymentHeaderChoice | undefined
  readonly pin?: RoutePin | undefined
  /** Lower is tried first. */
  readonly order: number
  /** Relative share of requests among routes of the same name and order, with `strategy: weighted`; default 1; 0 is tried last. */
  readonly weight?: number | undefined
  readonly timeouts?: RouteTimeouts | undefined
  /** The most requests in flight; no limit by default. */
  readonly maxParallel?: number | undefined
  /** How often an unpaid request is retried; default the router's. */
  readonly maxRetries?: number | undefined
  /** Top-level fields that are removed from a JSON body. */
  readonly dropParams?: readonly string[] | undefined
  /** What happens to a paid stream when its client disconnects; default the gateway's. */
  readonly onDisconnect?: 'abort' | 'drain' | undefined
  /** The seller only streams: it is always asked for a stream, and clients that do not stream get it as JSON. */
  readonly alwaysStream?: boolean | undefined
  /** Sends keep-alive comments while a paid call is silent. Later failures then no longer have their own HTTP status. */
  readonly earlyKeepalive?: boolean | undefined
  /** The most events per second sent to the client; no limit by default. */
  readonly eventsPerSecond?: number | undefined
  readonly when?: RouteCondition | undefined
  readonly info?: ModelInfo | undefined
  /** Whether the seller lists its models and prices at `<apiBase>/models`. */
  readonly catalogue?: boolean | undefined
  /** The endpoints that are paid for, without `/v1`; by default all but those that only count. */
  readonly paidEndpoints?: readonly string[] | undefined
  /** The limit on output tokens of a request that sets none; none by default. */
  readonly defaultMaxTokens?: number | undefined
  /**
   * If a quote is above the ceiling, asks again with fewer output tokens, down to this many; without a payer, if a budget has no
   * room for the request. Off by default.
   */
  readonly reduceMaxTokens?: number | undefined
  /** Whether terms that proved stable are paid without asking for them first; default the policy's. */
  readonly terms?: 'remember' | 'ask' | undefined
  /** What to do where remembered terms turn out to have changed; default the policy's. */
  readonly onChangedTerms?: 'fail' | 'pay_again' | undefined
  /** Whether a paid seller gets the request's `traceparent` (W3C Trace Context); default no. */
  readonly sendTraceparent?: boolean | undefined
}

/** A route applied to one request. */
export interface Candidate {
  readonly route: Route
  /** The model name to send. */
  readonly remoteModel: string
  /** Lower ranks are tried first; candidates of the same rank may be reordered. Default 0. */
  readonly rank?: number | undefined
}

/** The facts about a request that {@link RouteCondition} is matched against. */
export interface RouteFacts {
  readonly caller: string
  /** @param name in lower case */
  header(name: string): string | undefined
  /** Whether the caller may use a model; without it, every model. */
  mayUse?(model: string): boolean
}

/** Why the candidates of a model could not serve a request, so that its fallback models are tried. */
export type FallbackKind = 'unavailable' | 'context_window' | 'content_policy'

/** Fallback models by model name, by pattern as in `model_name`, or under `*` for all others. */
export type FallbackMap = ReadonlyMap<string, readonly string[]>

/** Options of {@link compileRoutes}. */
export interface RouteNames {
  /** Other names of models. */
  readonly aliases?: ReadonlyMap<string, string> | undefined
  readonly contextWindowFallbacks?: FallbackMap | undefined
  readonly contentPolicyFallbacks?: FallbackMap | undefined
}

/** Routes compiled for matching. */
export interface RouteTable {
  readonly routes: readonly Route[]
  /** Aliases and the models they refer to. */
  readonly aliases: ReadonlyMap<string, string>
  /** The model that an alias refers to; any other name unchanged. */
  resolve(model: string): string
  /** The candidates of a model in the order to try them, fallbacks last; empty when no route serves it. */
  match(model: string, facts?: RouteFacts): Candidate[]
  /** The fallback candidates of a model for one kind of failure. */
  fallbacks(model: string, kind: FallbackKind, facts?: RouteFacts): Candidate[]
}

/**
 * @param fallbacks model name or pattern to the models tried after its own candidates
 * @throws ConfigError for adjacent `*`, a remote name with more `*` than the public one, or an alias of an alias
 */
export function compileRoutes(
  routes: readonly Route[],
  fallbacks: FallbackMap = new Map(),
  names: RouteNames = {},
): RouteTable {
  const compiled = routes.map((route) => ({ route, pattern: compile(route) }))
  const aliases = names.aliases ?? new Map<string, string>()
  for (const [alias, target] of aliases) {
    if (aliases.has(target)) {
      throw new ConfigError(
        `The alias "${alias}" refers to "${target}", which is itself an alias. Name a model instead.`,
      )
    }
  }
  const resolve = (model: string): string => aliases.get(model) ?? model
  const kinds: Readonly<Record<FallbackKind, FallbackMap>> = {
    unavailable: fallbacks,
    context_window: names.contextWindowFallbacks ?? new Map<string, readonly string[]>(),
    content_policy: names.contentPolicyFallbacks ?? new Map<string, readonly string[]>(),
  }

  const direct = (name: string, facts: RouteFacts | undefined, rank: number): Candidate[] => {
    const model = resolve(name)
    const hits = compiled.filter(
      ({ route, pattern }) => capture(pattern, model) !== undefined && holds(route.when, facts),
    )
    const best = Math.max(-1, ...hits.map(({ pattern }) => specificity(pattern)))
    const chosen = hits
      .filter(({ pattern }) => specificity(pattern) === best)
      .toSorted((a, b) => conditional(b.route) - conditional(a.route) || a.route.order - b.route.order)
    let at = rank
    return chosen.map(({ route, pattern }, index) => {
      const before = chosen[index - 1]?.route
      const equal = before?.order === route.order && conditional(before) === conditional(route)
      if (before !== undefined && !equal) at += 1
      return { route, remoteModel: remoteModel(route, pattern, model), rank: at }
    })
  }
  const fallbackCandidates = (
    name: string,
    own: readonly Candidate[],
    kind: FallbackKind,
    facts: RouteFacts | undefined,
  ): Candidate[] => {
    const model = resolve(name)
    const pattern = own[0]?.route.modelName
    const map = kinds[kind]
    // LiteLLM's `*` stands for every model without fallbacks of its own.
    const listed = map.get(name) ?? map.get(model) ?? map.get(pattern ?? '') ?? map.get('*') ?? []
    let rank = (own.at(-1)?.rank ?? -1) + 1
    // A fallback is a model too: what the caller may not ask for is not paid for on its behalf.
    const mayUse = (target: string): boolean =>
      facts?.mayUse === undefined || facts.mayUse(target) || facts.mayUse(resolve(target))
    return listed.filter(mayUse).flatMap((target) => {
      const found = direct(target, facts, rank)
      rank = (found.at(-1)?.rank ?? rank - 1) + 1
      return found
    })
  }
  return {
    routes,
    aliases,
    resolve,
    match(model, facts) {
      const own = direct(model, facts, 0)
      return own.length === 0
        ? []
        : distinct([...own, ...fallbackCandidates(model, own, 'unavailable', facts)])
    },
    fallbacks(model, kind, facts) {
      return distinct(fallbackCandidates(model, direct(model, facts, 0), kind, facts))
    },
  }
}

/** A route that is reached in several ways is tried only once. */
function distinct(candidates: readonly Candidate[]): Candidate[] {
  return candidates.filter(
    ({ route, remoteModel: remote }, index) =>
      candidates.findIndex((other) => other.route === route && other.remoteModel === remote) === index,
  )
}

/** Conditional routes that match are tried before unconditional ones. */
function conditional({ when }: Route): number {
  return when === undefined ? 0 : 1
}

function holds(when: RouteCondition | undefined, facts: RouteFacts | undefined): boolean {
  if (when === undefined) return true
  if (facts === undefined) return false
  const { callers, headers } = when
  if (callers && !callers.some((pattern) => matchesPattern(pattern, facts.caller))) return false
  return [...(headers ?? [])].every(([name, pattern]) => {
    const value = facts.header(name)
    return value !== undefined && (pattern === '*' || matchesPattern(pattern, value))
  })
}

function compile(route: Route): NamePattern {
  const pattern = parsePattern(route.modelName)
  if (route.modelName.includes('**')) {
    throw new ConfigError(`model_name "${route.modelName}" has two * side by side. One is enough.`)
  }
  if (route.modelName === EXPORT_ROUTE) {
    throw new ConfigError(
      `model_name "${EXPORT_ROUTE}" is reserved for exported vouchers. Choose another name.`,
    )
  }
  if (starsOf(parsePattern(route.model ?? '')) > starsOf(pattern)) {
    throw new ConfigError(
      starsOf(pattern) === 0
        ? `model "${route.model}" of "${route.modelName}" has a *, but its model_name has none. Name the seller's model.`
        : `model "${route.model}" has more * than "${route.modelName}", its model_name. Name the seller's model.`,
    )
  }
  return pattern
}

function remoteModel(route: Route, pattern: NamePattern, model: string): string {
  return route.model === undefined ? model : fillStars(route.model, capture(pattern, model) ?? [])
}
