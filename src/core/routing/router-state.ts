/** The router's state across requests: the health and load of routes, and which seller answered which session. */
import { systemClock, type Clock } from '../clock.ts'
import type { Observer } from '../telemetry/events.ts'
import type { Attempt, Routing } from './attempt.ts'
import { retryDelay } from './retry.ts'
import {
  HEALTHY,
  isCooling,
  onFailure,
  onStart,
  onSuccess,
  type Health,
  type HealthPolicy,
  type HealthState,
} from './route-health.ts'
import { arrange, type Strategy } from './route-order.ts'
import type { Candidate, FallbackKind, Route } from './route.ts'
import { SessionAffinity } from './session-affinity.ts'

/** Known prices of sellers. */
export interface RoutePrices {
  /** Updates what {@link RoutePrices.of} returns; never rejects. */
  load(): Promise<void>
  /** Micro-USD per request, or `undefined`. @param endpoint without it the lowest price of all paths */
  of(candidate: Candidate, endpoint?: string): bigint | undefined
}

/** Settings of a {@link RouterState}. */
export interface RouterSettings extends HealthPolicy {
  readonly strategy: Strategy
  /** How often an unpaid request is retried, unless the route says otherwise. */
  readonly numRetries: number
  /** How long a session prefers the seller that answered it, milliseconds; 0 turns this off. */
  readonly sessionMs: number
  /** Lower-case names of the headers that may name the session; the first one present counts. */
  readonly sessionHeaders: readonly string[]
  readonly prices?: RoutePrices | undefined
  readonly clock?: Clock | undefined
  /** Returns a number from 0 up to, but not including, 1. */
  readonly random: () => number
  readonly observers?: readonly Observer[] | undefined
}

/** The state of one route, for metrics. */
export interface RouteReading {
  readonly route: string
  readonly seller: string
  readonly state: HealthState
}

/** What the router needs to know about a request. */
export interface RoutedRequest {
  readonly caller: string
  readonly model: string
  readonly endpoint: string
  /** The value of a header, by its name in lower case. */
  readonly header: (name: string) => string | undefined
  readonly fallbacks: (kind: FallbackKind) => readonly Candidate[]
}

/** The default settings of a router. */
export const ROUTER_DEFAULTS = {
  strategy: 'order',
  allowedFails: 3,
  cooldownMs: 5_000,
  numRetries: 0,
  sessionMs: 3_600_000,
  sessionHeaders: [
    'x-session-id',
    'x-litellm-session-id',
    'x-session-affinity',
    'x-clawrouter-session-id',
    'session_id',
  ],
} as const satisfies Omit<RouterSettings, 'random'>

const MAX_SESSION_LENGTH = 256

/** An unknown price is asked for at most once in this time, so that a seller that never quotes does not stay first. */
const LEARN_MS = 600_000

const MAX_LEARNT = 10_000

interface Place {
  health: Health
  inFlight: number
  isUsed: boolean
}

/** One per gateway, passed to `modelRouter()`. */
export class RouterState {
  readonly #settings: RouterSettings
  readonly #clock: Clock
  readonly #random: () => number
  readonly #places = new Map<Route, Place>()
  readonly #sessions: SessionAffinity
  readonly #asked = new Map<string, number>()

  /** @param before the state of an earlier configuration, and the routes that are in this one too */
  constructor(
    settings: RouterSettings,
    before?: { readonly state: RouterState; readonly routes: readonly Route[] },
  ) {
    this.#settings = settings
    this.#clock = settings.clock ?? systemClock
    this.#random = settings.random
    const keepsSessions = before !== undefined && before.state.#settings.sessionMs === settings.sessionMs
    this.#sessions = keepsSessions ? before.state.#sessions : new SessionAffinity(settings.sessionMs)
    if (!before) return
    // Shared with requests that still run under the other configuration: they count against the same limits.
    const earlier = before.state.#places
    for (const route of before.routes) {
      const place = earlier.get(route) ?? { health: HEALTHY, inFlight: 0, isUsed: false }
      earlier.set(route, place)
      this.#places.set(route, place)
    }
  }

  /** Whether {@link RouterState.prepare} must be awaited before {@link RouterState.arrange}. */
  get needsPrices(): boolean {
    return this.#settings.strategy === 'cheapest' && this.#settings.prices !== undefined
  }

  /** Updates the prices that the order depends on. */
  async prepare(): Promise<void> {
    await this.#settings.prices?.load()
  }

  /** All candidates, each once, in the order to try them. */
  arrange(candidates: readonly Candidate[], request: RoutedRequest): Candidate[] {
    const now = this.#clock.now()
    const session = this.#sessionOf(request)
    const stay = session === undefined ? undefined : this.#sessions.recall(session, now)
    const { strategy, prices } = this.#settings
    return arrange(candidates, {
      strategy,
      random: this.#random,
      price: (candidate) => priceOf(candidate, request.endpoint, prices),
      learns: (candidate) => this.#learns(candidate, request.endpoint, now),
      cools: ({ route }) => isCooling(this.#place(route).health, now),
      stays: (candidate) => stay !== undefined && placeName(candidate) === stay,
    })
  }

  /** The {@link Routing} of one request, for the payment interceptor. */
  routing(request: RoutedRequest): Routing {
    const { observers = [], numRetries } = this.#settings
    const session = this.#sessionOf(request)
    return {
      enter: (candidate) => this.#enter(candidate, request.endpoint, session),
      retries: ({ route }) => route.maxRetries ?? numRetries,
      retryDelay: (attempt, askedMs) => retryDelay(attempt, askedMs, this.#random()),
      fallbacks: (kind) => this.arrange(request.fallbacks(kind), request),
      repeated({ route }, reason) {
        const seller = new URL(route.apiBase).origin
        for (const observer of observers)
          observer({ type: 'retried', route: route.modelName, seller, reason })
      },
      movedOn(from, to, reason) {
        const names = { route: from.route.modelName, to: to.route.modelName }
        for (const observer of observers) observer({ type: 'fell_back', ...names, reason })
      },
    }
  }

  /** The current state of every route used since the process started. */
  readings(): RouteReading[] {
    const now = this.#clock.now()
    return [...this.#places]
      .filter(([, { isUsed }]) => isUsed)
      .map(([route, { health }]) => ({
        route: route.modelName,
        seller: new URL(route.apiBase).origin,
        state: health.state === 'cooling' && !isCooling(health, now) ? 'probing' : health.state,
      }))
  }

  #enter(candidate: Candidate, endpoint: string, session: string | undefined): Attempt | undefined {
    const { route } = candidate
    const place = this.#place(route)
    if (route.maxParallel !== undefined && place.inFlight >= route.maxParallel) return undefined
    const now = this.#clock.now()
    const before = place.health
    place.health = onStart(before, now)
    const probes = place.health !== before
    place.inFlight += 1
    this.#noteAsked(candidate, endpoint, now)
    let ended = false
    let left = false
    const end = (work: () => void): void => {
      if (ended) return
      ended = true
      work()
    }
    return {
      answered: () =>
        end(() => {
          place.health = onSuccess()
          if (session !== undefined) this.#sessions.note(session, placeName(candidate), this.#clock.now())
        }),
      failed: (reason, retryAfterMs) => end(() => this.#fail(route, place, reason, retryAfterMs)),
      unknown: () =>
        end(() => {
          // The next request becomes the trial request.
          if (probes && place.health.state === 'probing')
            place.health = { ...place.health, state: 'cooling', until: this.#clock.now() }
        }),
      leave() {
        if (left) return
        left = true
        place.inFlight -= 1
      },
    }
  }

  #fail(route: Route, place: Place, reason: string, retryAfterMs: number | undefined): void {
    const { observers = [] } = this.#settings
    const before = place.health.state
    place.health = onFailure(place.health, this.#settings, this.#clock.now(), retryAfterMs)
    if (place.health.state !== 'cooling' || before === 'cooling') return
    const seller = new URL(route.apiBase).origin
    for (const observer of observers) observer({ type: 'cooled', route: route.modelName, seller, reason })
  }

  #place(route: Route): Place {
    let place = this.#places.get(route)
    if (!place) {
      place = { health: HEALTHY, inFlight: 0, isUsed: true }
      this.#places.set(route, place)
    }
    place.isUsed = true
    return place
  }

  #sessionOf({ caller, model, header }: RoutedRequest): string | undefined {
    const { sessionMs, sessionHeaders } = this.#settings
    if (sessionMs === 0) return undefined
    const name = sessionHeaders.map(header).find((value) => value !== undefined && value !== '')
    if (name === undefined || name.length > MAX_SESSION_LENGTH) return undefined
    return [caller, model, name].join('\n')
  }

  #learns(candidate: Candidate, endpoint: string, now: number): boolean {
    if (candidate.route.payer === undefined) return false
    const asked = this.#asked.get(`${placeName(candidate)}\n${endpoint}`)
    return asked === undefined || now - asked >= LEARN_MS
  }

  #noteAsked(candidate: Candidate, endpoint: string, now: number): void {
    if (!this.needsPrices) return
    const name = `${placeName(candidate)}\n${endpoint}`
    this.#asked.delete(name)
    this.#asked.set(name, now)
    if (this.#asked.size <= MAX_LEARNT) return
    const oldest = this.#asked.keys().next()
    if (!oldest.done) this.#asked.delete(oldest.value)
  }
}

/** The configured catalogue price if there is one, else the last price paid; a route with neither payer nor key is free. */
function priceOf(
  candidate: Candidate,
  endpoint: string,
  prices: RoutePrices | undefined,
): bigint | undefined {
  const { info, payer, apiKey } = candidate.route
  if (info?.microUsdPerRequest !== undefined) return info.microUsdPerRequest
  if (payer !== undefined) return prices?.of(candidate, endpoint)
  return apiKey === undefined ? 0n : undefined
}

function placeName({ route, remoteModel }: Candidate): string {
  return [route.apiBase, route.payer ?? '', remoteModel].join('\n')
}
