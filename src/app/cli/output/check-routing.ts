/** Route selection and callers in `tollway check`. */
import type { Route } from '../../../core/routing/route.ts'
import { formatUsd } from '../../../core/money/money.ts'
import { formatNote } from '../../config/litellm/note.ts'
import type { ResolvedConfig } from '../../config/resolve/resolved.ts'

/** A route's own rules; settings that are not set are omitted. */
export function routeRules(route: Route, config: Pick<ResolvedConfig, 'router'>) {
  return {
    ...only('order', route.order === 0 ? undefined : route.order),
    ...only('weight', config.router.strategy === 'weighted' ? (route.weight ?? 1) : undefined),
    ...only('max_parallel_requests', route.maxParallel),
    ...only('max_retries', route.maxRetries),
    ...only('drop_params', route.dropParams),
    ...only('catalogue', route.catalogue),
    ...only('reduce_max_tokens', route.reduceMaxTokens),
    ...only('default_max_tokens', route.defaultMaxTokens),
    ...only('send_traceparent', route.sendTraceparent),
    ...only('terms', route.terms),
    ...only('on_changed_terms', route.onChangedTerms),
    ...only('provider', route.provider),
    ...only('payment_header', route.paymentHeader),
    ...only('user_agent', route.userAgent),
    ...only('pin', pinOf(route)),
    ...only('when', whenOf(route)),
    ...only('timeouts_seconds', timesOf(route)),
    ...only('context_window', route.info?.contextWindow),
    ...only(
      'usd_per_request',
      route.info?.microUsdPerRequest === undefined ? undefined : formatUsd(route.info.microUsdPerRequest),
    ),
  }
}

function pinOf({ pin }: Route): object | undefined {
  return pin && { network: pin.network, ...only('asset', pin.asset), ...only('pay_to', pin.payTo) }
}

/** The router as `--json` prints it. */
export function routerRules({ router, fallbacks }: Pick<ResolvedConfig, 'router' | 'fallbacks'>) {
  return {
    strategy: router.strategy,
    aliases: Object.fromEntries(router.aliases),
    fallbacks: Object.fromEntries(fallbacks),
    context_window_fallbacks: Object.fromEntries(router.contextWindowFallbacks),
    content_policy_fallbacks: Object.fromEntries(router.contentPolicyFallbacks),
    num_retries: router.numRetries,
    allowed_fails: router.allowedFails,
    cooldown_seconds: router.cooldownMs / 1000,
    session_affinity_seconds: router.sessionMs / 1000,
  }
}

/** The callers as `--json` prints them, without keys. */
export function callerRules({ callers }: Pick<ResolvedConfig, 'callers'>) {
  return callers.map((caller) => ({
    id: caller.id,
    models: caller.models,
    expires: caller.expiresAt === undefined ? null : new Date(caller.expiresAt).toISOString(),
    requests_per_minute: caller.requestsPerMinute ?? null,
    tokens_per_minute: caller.tokensPerMinute ?? null,
    max_parallel_requests: caller.maxParallel ?? null,
  }))
}

/** Notes for people on settings that differ from the defaults. @param now milliseconds since the epoch */
export function routingNotes(config: ResolvedConfig, now: number): string[] {
  const { router } = config
  const notes: string[] = []
  const names = config.routes.map(({ modelName }) => modelName)
  if (new Set(names).size < names.length) notes.push(STRATEGY_NOTES[router.strategy])
  for (const [alias, model] of router.aliases) notes.push(`${alias} is an alias for ${model}.`)
  const lists = [
    [config.fallbacks, 'cannot be served'],
    [router.contextWindowFallbacks, 'is too small for a request'],
    [router.contentPolicyFallbacks, 'refuses a request by its content filter'],
  ] as const
  for (const [list, when] of lists) {
    for (const [model, others] of list) notes.push(`When ${model} ${when}: ${others.join(', then ')}.`)
  }
  for (const route of config.routes) {
    const rules = describeRules(route)
    if (rules.length > 0)
      notes.push(`${route.modelName} at ${new URL(route.apiBase).host}: ${rules.join('; ')}.`)
  }
  for (const caller of config.callers) {
    const expired = caller.expiresAt !== undefined && caller.expiresAt <= now
    if (expired) notes.push(`The key of caller ${caller.id} has expired.`)
  }
  if (config.keys) notes.push(`More callers are in ${config.keys.path} (tollway keys).`)
  const noted = new Set(config.litellmNotes.map(({ path }) => path))
  const ignored = config.ignoredKeys.filter((key) => !noted.has(key))
  if (ignored.length > 0) notes.push(`LiteLLM keys that Tollway ignores: ${ignored.join(', ')}.`)
  notes.push(...config.litellmNotes.map(formatNote))
  return notes
}

const STRATEGY_NOTES = {
  order: 'Routes with the same name are tried in the order listed, lower order first.',
  weighted: 'Routes with the same name and order share the requests by weight.',
  cheapest: 'Of routes with the same name and order, the cheapest by last known price is tried first.',
} as const

function describeRules(route: Route): string[] {
  const { when, maxParallel, dropParams } = route
  return [
    ...(when?.callers ? [`only for callers ${when.callers.join(', ')}`] : []),
    ...[...(when?.headers ?? [])].map(([name, value]) => `only with ${name}: ${value}`),
    ...(maxParallel === undefined ? [] : [`at most ${maxParallel} requests at once`]),
    ...(dropParams ? [`sent without ${dropParams.join(', ')}`] : []),
    ...(route.catalogue === true ? ['its models and prices are read from the seller'] : []),
    ...(route.reduceMaxTokens === undefined
      ? []
      : [
          route.payer === undefined
            ? `sent with as few as ${route.reduceMaxTokens} output tokens when a budget has no room for more`
            : `quoted again with as few as ${route.reduceMaxTokens} output tokens when the price is too high`,
        ]),
    ...(route.defaultMaxTokens === undefined
      ? []
      : [`asked for at most ${route.defaultMaxTokens} output tokens where the client sets no limit`]),
    ...(route.sendTraceparent === true ? ['the traceparent header is sent to its seller'] : []),
    ...describeTerms(route),
    ...describeStream(route),
  ]
}

function describeTerms({ terms, onChangedTerms }: Route): string[] {
  return [
    ...(terms === 'ask' ? ['its seller is asked for the price before every payment'] : []),
    ...(terms === 'remember' ? ['terms that proved stable are paid without asking'] : []),
    ...(onChangedTerms === 'pay_again' ? ['changed terms are paid once more'] : []),
    ...(onChangedTerms === 'fail' ? ['changed terms are not paid'] : []),
  ]
}

function describeStream({ alwaysStream, earlyKeepalive, onDisconnect, eventsPerSecond }: Route): string[] {
  return [
    ...(alwaysStream === true ? ['always requested as a stream'] : []),
    ...(earlyKeepalive === true ? ['keep-alive comments are sent before the paid response starts'] : []),
    ...(onDisconnect === 'drain' ? ['read to its end when the client leaves'] : []),
    ...(onDisconnect === 'abort' ? ['aborted when the client leaves'] : []),
    ...(eventsPerSecond === undefined ? [] : [`at most ${eventsPerSecond} events a second`]),
  ]
}

function whenOf({ when }: Route) {
  return when && { ...only('callers', when.callers), headers: Object.fromEntries(when.headers ?? []) }
}

function timesOf({ timeouts }: Route) {
  if (!timeouts) return undefined
  const seconds = (ms: number | undefined) => (ms === undefined ? undefined : ms / 1000)
  return {
    ...only('connect', seconds(timeouts.connectMs)),
    ...only('first_byte', seconds(timeouts.firstByteMs)),
    ...only('idle', seconds(timeouts.idleMs)),
    ...only('total', seconds(timeouts.totalMs)),
  }
}

function only<K extends string, T>(name: K, value: T | undefined): Partial<Record<K, T>> {
  const one: Partial<Record<K, T>> = {}
  if (value !== undefined) one[name] = value
  return one
}
