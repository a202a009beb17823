/** Model routes: which model goes where. LiteLLM's vocabulary; the most specific name wins, then `order`. */
import { ConfigError } from '../errors.ts'
import { EXPORT_ROUTE } from '../vouchers/voucher.ts'

/** Times of one route's exchanges, milliseconds; what is not given is the gateway's. */
export interface RouteTimeouts {
  readonly connectMs?: number | undefined
  /** From the sent request to the answer's headers. */
  readonly firstByteMs?: number | undefined
  /** Longest silence inside the answer. */
  readonly idleMs?: number | undefined
  /** The whole exchange, body included. */
  readonly totalMs?: number | undefined
}

/** When a route counts at all: everything that is given must hold. */
export interface RouteCondition {
  /** Caller ids, exact or with one `*`. */
  readonly callers?: readonly string[] | undefined
  /** Lower-case header names and what they must hold: exact, or with one `*`. */
  readonly headers?: ReadonlyMap<string, string> | undefined
}

/** What `GET /v1/models` says about a model. */
export interface ModelInfo {
  /** Tokens of input and output together. */
  readonly contextWindow?: number | undefined
  /** Tokens. */
  readonly maxOutputTokens?: number | undefined
  /** Catalogue price of one request, micro-USD. */
  readonly microUsdPerRequest?: bigint | undefined
  /** Catalogue prices of a token in USD, decimal strings as they are written. */
  readonly inputUsdPerToken?: string | undefined
  readonly outputUsdPerToken?: string | undefined
}

/** A route as configured, parsed. */
export interface Route {
  /** The public name: exact, or with one `*`. */
  readonly modelName: string
  /** The seller's name for the model; `*` is replaced by what the public name's `*` matched. */
  readonly model: string | undefined
  /** Without a trailing slash, e.g. `https://seller.example.com/v1`. */
  readonly apiBase: string
  /** Name of the payer that pays for it; without one the route is unpaid. */
  readonly payer: string | undefined
  /** Bearer key of an unpaid upstream. */
  readonly apiKey: string | undefined
  /** Whether the client's own Authorization goes along: only to the default upstream, and only where no callers are configured. */
  readonly forwardCredentials?: boolean | undefined
  /** The User-Agent sent to a paid seller; default `tollway`. */
  readonly userAgent?: string | undefined
  /** Lower is tried first. */
  readonly order: number
  /** Share of the requests among routes of one name and order, at `strategy: weighted`; default 1, 0 is tried last. */
  readonly weight?: number | undefined
  readonly timeouts?: RouteTimeouts | undefined
  /** Most requests under way at once; none by default. */
  readonly maxParallel?: number | undefined
  /** How often an unpaid send is tried again; default the router's. */
  readonly maxRetries?: number | undefined
  /** Top-level fields that are taken out of a JSON body. */
  readonly dropParams?: readonly string[] | undefined
  /** What becomes of a paid stream whose client left; default the gateway's. */
  readonly onDisconnect?: 'abort' | 'drain' | undefined
  /** The seller answers streams only: it is always asked for one, and clients that do not stream get it as JSON. */
  readonly alwaysStream?: boolean | undefined
  /** Opens the stream with comments while a paid call is silent, at the price of HTTP statuses for what fails after. */
  readonly earlyKeepalive?: boolean | undefined
  /** Most events a second that reach the client; no limit by default. */
  readonly eventsPerSecond?: number | undefined
  readonly when?: RouteCondition | undefined
  readonly info?: ModelInfo | undefined
  /** Whether the seller lists its models and prices at `<apiBase>/models`. */
  readonly catalogue?: boolean | undefined
  /** A quote above the ceiling is asked for again with fewer answer tokens, down to this many; not at all by default. */
  readonly reduceMaxTokens?: number | undefined
  /** A paid seller gets the `traceparent` of the request (W3C Trace Context); by default none does. */
  readonly sendTraceparent?: boolean | undefined
}

/** A route applied to one request. */
export interface Candidate {
  readonly route: Route
  /** The model name to send. */
  readonly remoteModel: string
  /** Candidates of one rank may change places among each other, those of a lower rank go first; default 0. */
  readonly rank?: number | undefined
}

/** What conditional routes are held against. */
export interface RouteFacts {
  readonly caller: string
  /** @param name in lower case */
  header(name: string): string | undefined
}

/** Why a model's own candidates could not serve it, so that fallback models may. */
export type FallbackKind = 'unavailable' | 'context_window' | 'content_policy'

/** Fallback models by model name, or by pattern as in `model_name`. */
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

interface Pattern {
  readonly prefix: string
  readonly suffix: string
  readonly wildcard: boolean
}

/**
 * @param fallbacks model name or pattern to the models tried after its own candidates
 * @throws ConfigError for a name with more than one `*`, a remote `*` without one in the public name, or an alias of an alias
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
        `The alias "${alias}" stands for "${target}", which is an alias too. Name a model.`,
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
    const hits = compiled.filter(({ route, pattern }) => matches(pattern, model) && holds(route.when, facts))
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
  const standIns = (
    name: string,
    own: readonly Candidate[],
    kind: FallbackKind,
    facts: RouteFacts | undefined,
  ): Candidate[] => {
    const model = resolve(name)
    const pattern = own[0]?.route.modelName
    const listed = kinds[kind].get(name) ?? kinds[kind].get(model) ?? kinds[kind].get(pattern ?? '') ?? []
    let rank = (own.at(-1)?.rank ?? -1) + 1
    return listed.flatMap((target) => {
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
      return own.length === 0 ? [] : distinct([...own, ...standIns(model, own, 'unavailable', facts)])
    },
    fallbacks(model, kind, facts) {
      return distinct(standIns(model, direct(model, facts, 0), kind, facts))
    },
  }
}

/** A route that is reached in two ways is tried once. */
function distinct(candidates: readonly Candidate[]): Candidate[] {
  return candidates.filter(
    ({ route, remoteModel: remote }, index) =>
      candidates.findIndex((other) => other.route === route && other.remoteModel === remote) === index,
  )
}

/** A route made for this caller or header goes before one made for everybody. */
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

/** Whether a model name matches a pattern such as `paid/*` (used for callers' allow-lists too). */
export function matchesPattern(pattern: string, model: string): boolean {
  return matches(split(pattern), model)
}

function compile(route: Route): Pattern {
  const pattern = split(route.modelName)
  if (pattern.suffix.includes('*')) {
    throw new ConfigError(`model_name "${route.modelName}" has more than one *. Use one, e.g. "paid/*".`)
  }
  if (route.modelName === EXPORT_ROUTE) {
    throw new ConfigError(
      `model_name "${EXPORT_ROUTE}" is what vouchers in other hands are booked under. Choose another.`,
    )
  }
  if (route.model?.includes('*') && !pattern.wildcard) {
    throw new ConfigError(
      `model "${route.model}" of "${route.modelName}" has a *, and the model_name has none. Name the seller's model.`,
    )
  }
  return pattern
}

function split(name: string): Pattern {
  const star = name.indexOf('*')
  if (star < 0) return { prefix: name, suffix: '', wildcard: false }
  return { prefix: name.slice(0, star), suffix: name.slice(star + 1), wildcard: true }
}

function matches(pattern: Pattern, model: string): boolean {
  if (!pattern.wildcard) return pattern.prefix === model
  const { prefix, suffix } = pattern
  return model.length > prefix.length + suffix.length && model.startsWith(prefix) && model.endsWith(suffix)
}

/** An exact name beats every pattern; of patterns the one with more literal characters wins. */
function specificity(pattern: Pattern): number {
  return pattern.wildcard ? pattern.prefix.length + pattern.suffix.length : Number.MAX_SAFE_INTEGER
}

function remoteModel(route: Route, pattern: Pattern, model: string): string {
  if (route.model === undefined) return model
  const matched = model.slice(pattern.prefix.length, model.length - pattern.suffix.length)
  return route.model.replace('*', () => matched)
}
