/** Reads LiteLLM's config.yaml: translates the settings that mean the same here, and lists every key that it ignores. */
import type { RouteFinding } from './explain.ts'
import { isPlainObject } from './interpolate.ts'
import { litellmModel } from './litellm-model.ts'
import { formatPath, type ConfigPath } from '../values/problems.ts'

type Fields = Readonly<Record<string, unknown>>

/** A configuration in our form. */
export interface Translated {
  readonly value: unknown
  /** Keys that have no effect here, as paths of the file. */
  readonly ignored: readonly string[]
  /** What cannot be translated. */
  readonly findings: readonly RouteFinding[]
  /** Maps a path of the translated form to its path in the file. */
  readonly origin: (path: ConfigPath) => ConfigPath
}

/** Sections that only LiteLLM has. */
const SECTIONS = ['litellm_settings', 'router_settings', 'general_settings', 'environment_variables'] as const

/** Keys of `litellm_params` and their names here. */
const PARAMS: Readonly<Record<string, string>> = {
  api_base: 'api_base',
  base_url: 'api_base',
  api_key: 'api_key',
  order: 'order',
  weight: 'weight',
  max_parallel_requests: 'max_parallel_requests',
  max_retries: 'max_retries',
  num_retries: 'max_retries',
  additional_drop_params: 'drop_params',
  payer: 'payer',
}

/** Keys of `router_settings` and their names here; `litellm_settings` has some of them too. */
const ROUTER: Readonly<Record<string, string>> = {
  fallbacks: 'fallbacks',
  context_window_fallbacks: 'context_window_fallbacks',
  content_policy_fallbacks: 'content_policy_fallbacks',
  num_retries: 'num_retries',
  allowed_fails: 'allowed_fails',
  cooldown_time: 'cooldown_seconds',
}

/** LiteLLM's routing strategies that have an equivalent here. */
const STRATEGIES: Readonly<Record<string, string>> = {
  'simple-shuffle': 'weighted',
  'cost-based-routing': 'cheapest',
}

const INFO: Readonly<Record<string, string>> = {
  max_input_tokens: 'context_window',
  context_window: 'context_window',
  max_output_tokens: 'max_output_tokens',
  usd_per_request: 'usd_per_request',
  input_usd_per_token: 'input_usd_per_token',
  output_usd_per_token: 'output_usd_per_token',
}

/** Whether a configuration is LiteLLM's, or contains parts of one. */
function isLitellm(input: unknown): input is Fields {
  if (!isPlainObject(input)) return false
  const list = input['model_list']
  return (
    SECTIONS.some((section) => Object.hasOwn(input, section)) ||
    (Array.isArray(list) && list.some((entry) => isPlainObject(entry) && 'litellm_params' in entry))
  )
}

/** @returns the input itself, unchanged, if it contains nothing of LiteLLM's */
export function fromLitellm(input: unknown): Translated {
  if (!isLitellm(input)) return { value: input, ignored: [], findings: [], origin: (path) => path }
  return new Translation(input).result()
}

class Translation {
  readonly #input: Fields
  readonly #ignored: string[] = []
  readonly #findings: RouteFinding[] = []
  /** Paths of the translated form to paths of the file, both formatted. */
  readonly #origins = new Map<string, ConfigPath>()

  constructor(input: Fields) {
    this.#input = input
  }

  result(): Translated {
    const value: Record<string, unknown> = {}
    for (const [key, item] of Object.entries(this.#input)) {
      if (!SECTIONS.some((section) => section === key)) value[key] = item
    }
    const list = this.#input['model_list']
    if (Array.isArray(list)) value['model_list'] = list.map((entry: unknown, at) => this.#entry(entry, at))
    const router = this.#router()
    if (Object.keys(router).length > 0) {
      value['router'] = { ...router, ...(isPlainObject(value['router']) ? value['router'] : {}) }
    }
    const callers = this.#callers(value['callers'] === undefined && value['keys'] === undefined)
    if (callers) value['callers'] = callers
    this.#section('environment_variables', {})
    return {
      value,
      ignored: this.#ignored,
      findings: this.#findings,
      origin: (path) => this.#originOf(path),
    }
  }

  #entry(entry: unknown, at: number): unknown {
    if (!isPlainObject(entry) || !isPlainObject(entry['litellm_params'])) return entry
    const { litellm_params: params, model_info: info, ...own } = entry
    const here: ConfigPath = ['model_list', at]
    const out: Record<string, unknown> = { ...own }
    const put = (key: string, from: readonly (string | number)[], item: unknown): void => {
      out[key] = secret(item)
      this.#note([...here, key], [...here, ...from])
    }
    const details: Record<string, unknown> = {}
    for (const [key, item] of Object.entries(params)) {
      const known = PARAMS[key]
      const path = ['litellm_params', key]
      if (known !== undefined) put(known, path, item)
      else if (key === 'timeout') put('timeouts', path, { first_byte_seconds: item })
      else if (key === 'input_cost_per_token' || key === 'output_cost_per_token') {
        details[key.replace('_cost_', '_usd_')] = decimal(item)
      } else if (key !== 'model' && key !== 'custom_llm_provider') this.#ignore([...here, ...path])
    }
    for (const [key, item] of Object.entries(isPlainObject(info) ? info : {})) {
      const known = INFO[key]
      if (known === undefined) this.#ignore([...here, 'model_info', key])
      else details[known] ??= item
    }
    if (Object.keys(details).length > 0) out['model_info'] = details
    const named = litellmModel(params, own['model_name'], out['payer'] === undefined)
    if ('fault' in named) {
      this.#findings.push({ path: [...here, 'litellm_params', 'model'], message: named.fault })
    } else {
      for (const [key, item] of Object.entries(named)) {
        if (out[key] === undefined && item !== undefined) put(key, ['litellm_params', 'model'], item)
      }
    }
    return out
  }

  #router(): Fields {
    const router: Record<string, unknown> = {}
    // router_settings takes precedence over litellm_settings.
    this.#section('router_settings', {
      ...this.#into(router, ROUTER),
      routing_strategy: (item, path) => {
        const known = typeof item === 'string' ? STRATEGIES[item] : undefined
        if (known === undefined) return this.#ignore(path)
        router['strategy'] = known
      },
      model_group_alias: (item) => {
        router['aliases'] = aliasesOf(item)
        this.#note(['router', 'aliases'], ['router_settings', 'model_group_alias'])
      },
    })
    this.#section('litellm_settings', this.#into(router, ROUTER))
    // LiteLLM's own default strategy, which its weights are meant for.
    const list = this.#input['model_list']
    const weighed =
      Array.isArray(list) && list.some((entry) => isPlainObject(entry) && 'litellm_params' in entry)
    if (weighed) router['strategy'] ??= 'weighted'
    return router
  }

  #into(
    router: Record<string, unknown>,
    names: Readonly<Record<string, string>>,
  ): Record<string, (item: unknown, path: ConfigPath) => void> {
    return Object.fromEntries(
      Object.entries(names).map(([key, ours]) => [
        key,
        (item: unknown, path: ConfigPath) => {
          if (router[ours] !== undefined) return this.#ignore(path)
          router[ours] = item
          this.#note(['router', ours], path)
        },
      ]),
    )
  }

  /** The master key is the only one in the file; LiteLLM keeps the others in its database. */
  #callers(wanted: boolean): readonly Fields[] | undefined {
    let callers: readonly Fields[] | undefined
    this.#section('general_settings', {
      master_key: (item, path) => {
        if (!wanted) return this.#ignore(path)
        callers = [{ id: 'litellm-master', key: secret(item) }]
        this.#note(['callers', 0, 'key'], path)
      },
    })
    return callers
  }

  #section(name: string, known: Readonly<Record<string, (item: unknown, path: ConfigPath) => void>>): void {
    const section = this.#input[name]
    for (const [key, item] of Object.entries(isPlainObject(section) ? section : {})) {
      const path = [name, key]
      const work = Object.hasOwn(known, key) ? known[key] : undefined
      if (work) work(item, path)
      else this.#ignore(path)
    }
  }

  #ignore(path: ConfigPath): void {
    this.#ignored.push(formatPath(path))
  }

  #note(path: ConfigPath, origin: ConfigPath): void {
    this.#origins.set(formatPath(path), origin)
  }

  #originOf(path: ConfigPath): ConfigPath {
    for (let length = path.length; length > 0; length--) {
      const found = this.#origins.get(formatPath(path.slice(0, length)))
      if (found) return [...found, ...path.slice(length)]
    }
    return path
  }
}

/** Converts `os.environ/NAME` to our form. */
function secret(item: unknown): unknown {
  const name =
    typeof item === 'string' ? /^os\.environ\/([A-Za-z_][A-Za-z0-9_]*)$/.exec(item)?.[1] : undefined
  return name === undefined ? item : `\${env:${name}}`
}

function aliasesOf(item: unknown): unknown {
  if (!isPlainObject(item)) return item
  return Object.fromEntries(
    Object.entries(item).map(([alias, target]) => [alias, isPlainObject(target) ? target['model'] : target]),
  )
}

/** Converts YAML's 2.5e-06 to decimal text; no calculation uses it. */
function decimal(item: unknown): unknown {
  if (typeof item !== 'number' || !Number.isFinite(item) || item < 0) return item
  return item.toFixed(18).replace(/\.?0+$/, '')
}
