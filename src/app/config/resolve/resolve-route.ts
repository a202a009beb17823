import type { ModelInfo, Route, RouteCondition } from '../../../core/routing/route.ts'
import type { ResolvedRouter } from './resolved.ts'
import type { CheckedConfig } from '../schema/schema.ts'

type CheckedRoute = CheckedConfig['model_list'][number]

/** Converts a checked entry of `model_list` to its final form. */
export function resolveRoute(route: CheckedRoute, payers: CheckedConfig['payers']): Route {
  return {
    modelName: route.model_name,
    model: route.model,
    apiBase: route.api_base,
    payer: route.payer,
    provider: route.provider,
    apiKey: route.api_key,
    order: route.order,
    weight: route.weight,
    maxParallel: route.max_parallel_requests,
    maxRetries: route.max_retries,
    dropParams: route.drop_params,
    onDisconnect: route.on_disconnect,
    alwaysStream: route.always_stream,
    earlyKeepalive: route.early_keepalive,
    eventsPerSecond: route.events_per_second,
    catalogue: route.catalogue ?? isBlockrun(route, payers),
    paidEndpoints: route.paid_endpoints,
    reduceMaxTokens: route.reduce_max_tokens,
    ...(route.default_max_tokens === undefined ? {} : { defaultMaxTokens: route.default_max_tokens }),
    sendTraceparent: route.send_traceparent,
    pin: route.pin && { network: route.pin.network, asset: route.pin.asset, payTo: route.pin.pay_to },
    terms: route.terms,
    onChangedTerms: route.on_changed_terms,
    ...headersFor(route, payers),
    when: route.when && resolveCondition(route.when),
    timeouts: route.timeouts && {
      connectMs: route.timeouts.connect_seconds,
      firstByteMs: route.timeouts.first_byte_seconds,
      idleMs: route.timeouts.idle_seconds,
      totalMs: route.timeouts.total_seconds,
    },
    info: route.model_info && resolveInfo(route.model_info),
  }
}

/** The headers sent to this seller: those of the route override those of its payer. */
function headersFor(
  route: CheckedRoute,
  payers: CheckedConfig['payers'],
): Pick<Route, 'paymentHeader' | 'userAgent'> {
  const payer = route.payer === undefined ? undefined : payers[route.payer]
  const payersHeader = payer && 'header' in payer ? payer.header : undefined
  return {
    paymentHeader: route.payment_header ?? payersHeader,
    userAgent: route.user_agent ?? payer?.user_agent,
  }
}

/** Whether the seller is BlockRun, which is known to list its models and is paid through AgentCash. */
function isBlockrun(route: CheckedRoute, payers: CheckedConfig['payers']): true | undefined {
  const payer = route.payer === undefined ? undefined : payers[route.payer]
  if (payer?.kind !== 'agentcash') return undefined
  return /(?:^|\.)blockrun\.ai$/.test(new URL(route.api_base).hostname) ? true : undefined
}

function resolveCondition({ callers, headers }: NonNullable<CheckedRoute['when']>): RouteCondition {
  return { callers, headers: headers && new Map(Object.entries(headers)) }
}

function resolveInfo(info: NonNullable<CheckedRoute['model_info']>): ModelInfo {
  return {
    contextWindow: info.context_window,
    maxOutputTokens: info.max_output_tokens,
    microUsdPerRequest: info.usd_per_request,
    inputUsdPerToken: info.input_usd_per_token,
    outputUsdPerToken: info.output_usd_per_token,
    ...given({
      reasoningUsdPerToken: info.reasoning_usd_per_token,
      cachedInputUsdPerToken: info.cached_input_usd_per_token,
      cacheWriteUsdPerToken: info.cache_write_usd_per_token,
      inputUsdPerImage: info.input_usd_per_image,
      outputUsdPerImage: info.output_usd_per_image,
      inputUsdPerSecond: info.input_usd_per_second,
      outputUsdPerSecond: info.output_usd_per_second,
    }),
  }
}

/** The fields that have a value. */
function given<T extends object>(fields: T): Partial<T> {
  const found: Partial<T> = { ...fields }
  for (const name in found) if (found[name] === undefined) delete found[name]
  return found
}

/** Converts the checked `router` section to its final form. */
export function resolveRouter(router: CheckedConfig['router']): ResolvedRouter {
  const merged = (list: readonly Readonly<Record<string, string[]>>[]) =>
    new Map(list.flatMap((entry) => Object.entries(entry)))
  return {
    contextWindowFallbacks: merged(router.context_window_fallbacks),
    contentPolicyFallbacks: merged(router.content_policy_fallbacks),
    aliases: new Map(Object.entries(router.aliases)),
    strategy: router.strategy,
    numRetries: router.num_retries,
    cooldownMs: router.cooldown_seconds,
    allowedFails: router.allowed_fails,
    sessionMs: router.session_affinity.seconds * 1000,
    sessionHeaders: router.session_affinity.headers,
  }
}
