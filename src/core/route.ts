/** Model routes: which model goes where. LiteLLM's vocabulary; the most specific name wins, then `order`. */
import { ConfigError } from './errors.ts'

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

/** What is told about a model at `GET /v1/models`. */
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
  /** The seller's name for the model; `*` stands for what the public name's `*` matched. */
  readonly model: string | undefined
  /** Without a trailing slash, e.g. `https://seller.example.com/v1`. */
  readonly apiBase: string
  /** Name of the payer that pays for it; without one the route is unpaid. */
  readonly payer: string | undefined
  /** Bearer key of an unpaid upstream. */
  readonly apiKey: string | undefined
  /** Whether the client's own Authorization goes along: only to the default upstream, and only where no callers are configured. */
  readonly forwardCredentials?: boolean | undefined
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
  readonly when?: RouteCondition | undefined
  readonly info?: ModelInfo | undefined
}

/** A route applied to one request. */
export interface Candidate {
  readonly route: Route
  /** The model name to send. */
  readonly remoteModel: string
}

/** Routes compiled for matching. */
export interface RouteTable {
  readonly routes: readonly Route[]
  /** The candidates of a model in the order to try them; empty when no route claims it. */
  match(model: string): Candidate[]
}

interface Pattern {
  readonly prefix: string
  readonly suffix: string
  readonly wildcard: boolean
}

/**
 * @param fallbacks model name or pattern to the models tried after its own candidates
 * @throws ConfigError for a name with more than one `*`, or a remote `*` without one in the public name
 */
export function compileRoutes(
  routes: readonly Route[],
  fallbacks: ReadonlyMap<string, readonly string[]> = new Map(),
): RouteTable {
  const compiled = routes.map((route) => ({ route, pattern: compile(route) }))
  const direct = (model: string): Candidate[] => {
    const hits = compiled.filter(({ pattern }) => matches(pattern, model))
    const best = Math.max(-1, ...hits.map(({ pattern }) => specificity(pattern)))
    return hits
      .filter(({ pattern }) => specificity(pattern) === best)
      .toSorted((a, b) => a.route.order - b.route.order)
      .map(({ route, pattern }) => ({ route, remoteModel: remoteModel(route, pattern, model) }))
  }
  return {
    routes,
    match(model) {
      const own = direct(model)
      const name = own[0]?.route.modelName
      const further = name === undefined ? [] : (fallbacks.get(model) ?? fallbacks.get(name) ?? [])
      return [...own, ...further.flatMap(direct)]
    },
  }
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
