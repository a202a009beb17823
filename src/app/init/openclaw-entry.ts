/** The settings in `openclaw.json` that make OpenClaw use a gateway. */
import { requiresCallerKey } from '../config/resolve/requires-caller-key.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'

/** The ways OpenClaw can talk to the gateway. */
export const OPENCLAW_KINDS = ['provider', 'litellm', 'clawrouter'] as const

/**
 * `provider`: a separate entry that lists the models · `litellm`: OpenClaw's LiteLLM preset, which requests the models from
 * the gateway · `clawrouter`: catalog, usage, and the identity of agents and sessions.
 */
export type OpenclawKind = (typeof OPENCLAW_KINDS)[number]

/** One value for `openclaw.json`. */
export interface Setting {
  readonly path: readonly string[]
  readonly value: unknown
}

/** The data of an entry. */
export interface EntryOptions {
  readonly kind: OpenclawKind
  /** Name of the entry with `kind: provider`. */
  readonly provider: string
  /** Root address of the gateway, such as `http://127.0.0.1:8402`. */
  readonly url: string
  /** The environment variable that OpenClaw reads the caller key from. */
  readonly keyVariable: string
  /** The default model of new conversations; `undefined` keeps the user's choice. */
  readonly primary?: string | undefined
}

/** OpenClaw's assumptions about a model without details. */
const CONTEXT_WINDOW = 128_000
const MAX_TOKENS = 4_096

/** The settings, the provider's first. @param names the models to list; default those with an exact name */
export function openclawSettings(
  config: Pick<ResolvedConfig, 'callers' | 'keys' | 'routes'>,
  options: EntryOptions,
  names: readonly string[] = namedModels(config),
): Setting[] {
  const { kind, url, primary } = options
  const name = kind === 'provider' ? options.provider : kind
  // OpenClaw resolves the variable itself; a gateway without callers accepts any key.
  const apiKey = requiresCallerKey(config) ? `\${${options.keyVariable}}` : 'unused'
  const entry =
    kind === 'provider'
      ? { baseUrl: `${url}/v1`, apiKey, api: 'openai-completions', models: modelsOf(config, names) }
      : { baseUrl: url, apiKey }
  return [
    { path: ['models', 'providers', name], value: entry },
    ...(primary === undefined
      ? []
      : [{ path: ['agents', 'defaults', 'model', 'primary'], value: `${name}/${primary}` }]),
  ]
}

/** The models with an exact name: a pattern is not a model. */
export function namedModels(config: Pick<ResolvedConfig, 'routes'>): string[] {
  return [...new Set(config.routes.map(({ modelName }) => modelName).filter((name) => !name.includes('*')))]
}

function modelsOf(config: Pick<ResolvedConfig, 'routes'>, names: readonly string[]): object[] {
  return names.map((id) => {
    const info = config.routes.find(({ modelName }) => modelName === id)?.info
    return {
      id,
      name: id,
      contextWindow: info?.contextWindow ?? CONTEXT_WINDOW,
      maxTokens: info?.maxOutputTokens ?? MAX_TOKENS,
    }
  })
}
