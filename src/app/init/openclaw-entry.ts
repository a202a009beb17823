/** The entry that makes OpenClaw use a gateway: what goes where in `openclaw.json`. */
import { requiresCallerKey } from '../config/resolve/requires-caller-key.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'

/** The ways OpenClaw can talk to the gateway. */
export const OPENCLAW_KINDS = ['provider', 'litellm', 'clawrouter'] as const

/**
 * `provider`: an entry of its own with the models listed · `litellm`: OpenClaw's LiteLLM preset, which asks the gateway
 * for its models · `clawrouter`: catalogue, usage and the identity of agents and sessions.
 */
export type OpenclawKind = (typeof OPENCLAW_KINDS)[number]

/** One value to be set in `openclaw.json`. */
export interface Setting {
  readonly path: readonly string[]
  readonly value: unknown
}

/** What an entry is made from. */
export interface EntryOptions {
  readonly kind: OpenclawKind
  /** The name of the entry at `kind: provider`. */
  readonly provider: string
  /** Root address of the gateway, e.g. `http://127.0.0.1:8402`. */
  readonly url: string
  /** The environment variable OpenClaw takes the caller key from. */
  readonly keyVariable: string
  /** The model new conversations start with; without one the user's choice stays. */
  readonly primary?: string | undefined
}

/** What OpenClaw assumes of a model that says nothing about itself. */
const CONTEXT_WINDOW = 128_000
const MAX_TOKENS = 4_096

/** The settings, the provider's first. */
export function openclawSettings(
  config: Pick<ResolvedConfig, 'callers' | 'keys' | 'routes'>,
  options: EntryOptions,
): Setting[] {
  const { kind, url, primary } = options
  const name = kind === 'provider' ? options.provider : kind
  // OpenClaw puts the variable in by itself; a gateway without callers takes any key.
  const apiKey = requiresCallerKey(config) ? `\${${options.keyVariable}}` : 'unused'
  const entry =
    kind === 'provider'
      ? { baseUrl: `${url}/v1`, apiKey, api: 'openai-completions', models: modelsOf(config) }
      : { baseUrl: url, apiKey }
  return [
    { path: ['models', 'providers', name], value: entry },
    ...(primary === undefined
      ? []
      : [{ path: ['agents', 'defaults', 'model', 'primary'], value: `${name}/${primary}` }]),
  ]
}

/** The models that have a name of their own: a pattern is no model. */
export function namedModels(config: Pick<ResolvedConfig, 'routes'>): string[] {
  return [...new Set(config.routes.map(({ modelName }) => modelName).filter((name) => !name.includes('*')))]
}

function modelsOf(config: Pick<ResolvedConfig, 'routes'>): object[] {
  return namedModels(config).map((id) => {
    const info = config.routes.find(({ modelName }) => modelName === id)?.info
    return {
      id,
      name: id,
      contextWindow: info?.contextWindow ?? CONTEXT_WINDOW,
      maxTokens: info?.maxOutputTokens ?? MAX_TOKENS,
    }
  })
}
