import { isSolanaNetwork } from '../../../core/money/address.ts'
import { isPostgres } from '../../../io/store/postgres/database/address.ts'
import { TOKEN_2022_PROGRAM, TOKEN_PROGRAM } from '../../../core/solana/programs.ts'
import { resolve } from 'node:path'
import { BUILT_IN_ASSETS, findAsset, type Asset } from '../../../core/money/assets.ts'
import { hashKey } from '../../../io/callers/hash-key.ts'
import { fingerprintOf } from '../reading/fingerprint.ts'
import type { LitellmNote } from '../litellm/note.ts'
import type { CheckedConfig } from '../schema/schema.ts'
import { resolveBudgets } from './resolve-budgets.ts'
import { resolveRoute, resolveRouter } from './resolve-route.ts'
import type { SecretContext } from '../values/secrets.ts'
import { resolvePayer } from './resolve-payer.ts'
import type { ResolvedConfig } from './resolved.ts'

const NOTHING = { ignored: [], notes: [] }

/**
 * Converts a checked configuration to its final form: keys become digests, relative paths absolute.
 * @param context base of relative paths, and where the variables of keys are
 * @param litellm what has no effect here, or another, of a LiteLLM file
 */
export function resolveConfig(
  checked: CheckedConfig,
  context: SecretContext,
  litellm: { readonly ignored: readonly string[]; readonly notes: readonly LitellmNote[] } = NOTHING,
): ResolvedConfig {
  const { policy, timeouts } = checked
  const { directory } = context
  const assets = withBuiltIn(checked.assets.map(resolveAsset))
  return deepFreeze({
    fingerprint: fingerprintOf(checked),
    ignoredKeys: litellm.ignored,
    litellmNotes: litellm.notes,
    listen: checked.listen,
    store: resolveStore(checked.store, directory),
    upstream: checked.upstream && {
      apiBase: checked.upstream.api_base,
      apiKey: checked.upstream.api_key,
      provider: checked.upstream.provider,
      allowPaths: checked.upstream.allow_paths,
    },
    callers: checked.callers.map((caller) => ({
      id: caller.id,
      keyDigest: hashKey(caller.key),
      models: caller.models,
      expiresAt: caller.expires,
      requestsPerMinute: caller.requests_per_minute,
      tokensPerMinute: caller.tokens_per_minute,
      maxParallel: caller.max_parallel_requests,
      team: caller.team,
    })),
    payers: new Map(
      Object.entries(checked.payers).map(([name, payer]) => [name, resolvePayer(payer, context)] as const),
    ),
    userAgents: userAgentsOf(checked.payers),
    keys: checked.keys && { path: resolve(directory, checked.keys.path) },
    routes: checked.model_list.map((route) => resolveRoute(route, checked.payers)),
    router: resolveRouter(checked.router),
    fallbacks: new Map(checked.router.fallbacks.flatMap((entry) => Object.entries(entry))),
    budgets: resolveBudgets(checked, assets),
    notify: checked.notify && {
      url: checked.notify.url,
      secret: checked.notify.secret,
      page: checked.notify.page,
      levels: [...new Set(checked.notify.at)].toSorted((a, b) => (a < b ? -1 : 1)),
    },
    tags: checked.tags,
    policy: {
      maxMicroUsd: policy.max_usd_per_request.microUsd ?? 'none',
      maxValiditySeconds: policy.max_validity_seconds,
      maxPriceChange: policy.max_price_change,
      offerOrder: policy.offer_order,
      signIn: policy.sign_in,
      terms: policy.terms,
      onChangedTerms: policy.on_changed_terms,
      payTo: new Map(
        Object.entries(policy.sellers).map(([origin, seller]) => [origin, seller.pay_to] as const),
      ),
    },
    approval:
      policy.approve_above_usd === undefined
        ? undefined
        : { aboveMicroUsd: policy.approve_above_usd, waitMs: policy.approval_seconds * 1000 },
    blockPrivateNetworks: policy.block_private_networks,
    assets,
    chains: new Map(Object.entries(checked.chains)),
    reconcile: { intervalMs: checked.reconcile.interval_seconds },
    audit: {
      path: resolve(directory, checked.audit.path),
      signingKey: checked.audit.signing_key,
      checkpointEvery: checked.audit.checkpoint_every,
      rotateBytes: checked.audit.rotate_bytes,
      rotateDaily: checked.audit.rotate_daily,
      retain: checked.audit.retain,
      minFree: checked.audit.min_free,
    },
    log: checked.log,
    metrics: {
      tokenDigest: checked.metrics.token === undefined ? undefined : hashKey(checked.metrics.token),
      listen: checked.metrics.listen,
    },
    stream: {
      keepaliveMs: checked.stream.keepalive_seconds,
      onDisconnect: checked.stream.on_disconnect,
      onTruncated: checked.stream.on_truncated,
    },
    timeouts: {
      connectMs: timeouts.connect_seconds,
      firstByteMs: timeouts.first_byte_seconds,
      idleMs: timeouts.idle_seconds,
      totalMs: timeouts.total_seconds,
      drainMs: timeouts.drain_seconds,
      shutdownMs: timeouts.shutdown_seconds,
    },
    bodyLimit: checked.body_limit,
    idempotency: {
      maxEntries: checked.idempotency.max_entries,
      maxBytes: checked.idempotency.max_bytes,
    },
    explorers: new Map(Object.entries(checked.explorers)),
    admin: {
      keyDigest: checked.admin.key === undefined ? undefined : hashKey(checked.admin.key),
      hosts: checked.admin.hosts,
    },
  })
}

function resolveStore(store: string, directory: string): string {
  if (store === 'memory' || isPostgres(store)) return store
  return `sqlite:${resolve(directory, store.slice('sqlite:'.length))}`
}

/**
 * A configured token replaces the built-in one with the same address, and keeps properties that only the built-in
 * one has.
 */
function withBuiltIn(configured: readonly Asset[]): Asset[] {
  const same = (asset: Asset): Asset | undefined => findAsset(BUILT_IN_ASSETS, asset.network, asset.address)
  const kept = BUILT_IN_ASSETS.filter((asset) => !findAsset(configured, asset.network, asset.address))
  return [
    ...kept,
    ...configured.map((asset) => {
      const builtIn = same(asset)
      return builtIn ? { ...asset, domain: builtIn.domain, methods: builtIn.methods } : asset
    }),
  ]
}

function resolveAsset(asset: CheckedConfig['assets'][number]): Asset {
  const { network, address, symbol, decimals, usd, name, version, methods, program } = asset
  return {
    network,
    address,
    symbol,
    decimals,
    usd,
    domain: name === undefined || version === undefined ? undefined : { name, version },
    ...(methods === undefined ? {} : { methods }),
    ...(isSolanaNetwork(network)
      ? { tokenProgram: program === 'token-2022' ? TOKEN_2022_PROGRAM : TOKEN_PROGRAM }
      : {}),
  }
}

/** Freezes objects and lists recursively. A Map cannot be frozen; its values are, and its type is read-only. */
function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const inner of value instanceof Map ? value.values() : Object.values(value)) deepFreeze(inner)
  return Object.freeze(value)
}

/** `undefined` when every payer sends Tollway's own. */
function userAgentsOf(payers: CheckedConfig['payers']): ReadonlyMap<string, string> | undefined {
  const named = Object.entries(payers).flatMap(([name, { user_agent: agent }]): [string, string][] =>
    agent === undefined ? [] : [[name, agent]],
  )
  return named.length === 0 ? undefined : new Map(named)
}
