/** Translates one entry of LiteLLM's `model_list`. */
import { nearestName } from '../../../io/names/nearest-name.ts'
import { isPlainObject } from '../reading/interpolate.ts'
import { route } from '../schema/access-schema.ts'
import type { Environment } from '../values/secrets.ts'
import type { ConfigPath } from '../values/problems.ts'
import { ENTRY_LIMITS } from './entry-limits.ts'
import { foreignProvider, litellmModel } from './provider.ts'
import { isPlaceholder } from './placeholder.ts'
import { secret } from './secret.ts'
import type { Translation } from './translation.ts'

type Fields = Readonly<Record<string, unknown>>

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
  max_tokens: 'default_max_tokens',
  payer: 'payer',
}

const INFO: Readonly<Record<string, string>> = {
  max_input_tokens: 'context_window',
  context_window: 'context_window',
  max_output_tokens: 'max_output_tokens',
  usd_per_request: 'usd_per_request',
  input_usd_per_token: 'input_usd_per_token',
  output_usd_per_token: 'output_usd_per_token',
  reasoning_usd_per_token: 'reasoning_usd_per_token',
  input_cost_per_token: 'input_usd_per_token',
  output_cost_per_token: 'output_usd_per_token',
  output_cost_per_reasoning_token: 'reasoning_usd_per_token',
  input_cost_per_request: 'usd_per_request',
  cache_read_input_token_cost: 'cached_input_usd_per_token',
  cache_creation_input_token_cost: 'cache_write_usd_per_token',
  input_cost_per_image: 'input_usd_per_image',
  output_cost_per_image: 'output_usd_per_image',
  input_cost_per_second: 'input_usd_per_second',
  output_cost_per_second: 'output_usd_per_second',
  cached_input_usd_per_token: 'cached_input_usd_per_token',
  cache_write_usd_per_token: 'cache_write_usd_per_token',
  input_usd_per_image: 'input_usd_per_image',
  output_usd_per_image: 'output_usd_per_image',
  input_usd_per_second: 'input_usd_per_second',
  output_usd_per_second: 'output_usd_per_second',
}

/** Prices, which LiteLLM reads in `litellm_params` too. */
const COSTS: ReadonlySet<string> = new Set(
  Object.keys(INFO).filter((key) => key.includes('_cost_per_') || key.endsWith('_token_cost')),
)

/**
 * @param at its index in the file
 * @param to its index among the translated entries
 * @returns `undefined` where the entry is skipped
 */
export function translateEntry(
  work: Translation,
  entry: unknown,
  at: number,
  to: number,
  env: Environment,
): unknown {
  const here: ConfigPath = ['model_list', at]
  work.origin(['model_list', to], here)
  if (!isPlainObject(entry) || !isPlainObject(entry['litellm_params'])) return entry
  const { litellm_params: written, model_info: info, ...own } = entry
  // LiteLLM takes an empty value for none.
  const params = Object.fromEntries(
    Object.entries(written).filter(([, item]) => item !== null && item !== ''),
  )
  const foreign = foreignProvider(params)
  if (foreign !== undefined) {
    work.skip(entry, here, foreign)
    return undefined
  }
  const out = ownKeys(work, own, here)
  const put = (key: string, from: ConfigPath, item: unknown): void => {
    out[key] = secret(item)
    work.origin(['model_list', to, key], [...here, ...from])
  }
  const details: Record<string, unknown> = {}
  for (const [key, item] of Object.entries(params)) {
    const known = Object.hasOwn(PARAMS, key) ? PARAMS[key] : undefined
    const path = ['litellm_params', key]
    if (known !== undefined) put(known, path, item)
    else if (key === 'timeout') put('timeouts', path, { first_byte_seconds: item })
    else if (COSTS.has(key)) details[INFO[key] ?? key] = decimal(item)
    else if (ENTRY_LIMITS.has(key)) continue
    else if (key !== 'model' && key !== 'custom_llm_provider') work.ignore([...here, ...path], item)
  }
  for (const [key, item] of Object.entries(isPlainObject(info) ? info : {})) {
    const known = Object.hasOwn(INFO, key) ? INFO[key] : undefined
    // Limits are read together with those of the other entries of the name.
    if (ENTRY_LIMITS.has(key)) continue
    if (known === undefined) work.ignore([...here, 'model_info', key], item)
    else details[known] ??= COSTS.has(key) ? decimal(item) : item
  }
  if (Object.keys(details).length > 0) out['model_info'] = details
  const { model, api_base: base, keyVariable } = litellmModel(params, own['model_name'])
  const fromModel = ['litellm_params', 'model']
  if (out['model'] === undefined && model !== undefined) put('model', fromModel, model)
  if (out['api_base'] === undefined && base !== undefined) put('api_base', fromModel, base)
  const keyPath: ConfigPath = [...here, 'litellm_params', 'api_key']
  if (placeholderKey(work, out, to, keyPath)) return out
  if (keyVariable !== undefined && out['payer'] === undefined && out['api_key'] === undefined) {
    if ((env[keyVariable] ?? '') !== '') put('api_key', fromModel, `\${env:${keyVariable}}`)
    else {
      work.note(
        'no_key',
        keyPath,
        `no key: ${keyVariable} is not set either, so its API will refuse requests. Set it before the start.`,
      )
    }
  }
  return out
}

/** A stand-in for a key is sent as it is, as LiteLLM does; a paid route sends none. @returns whether there is one */
function placeholderKey(
  work: Translation,
  out: Record<string, unknown>,
  to: number,
  path: ConfigPath,
): boolean {
  const key = typeof out['api_key'] === 'number' ? String(out['api_key']) : out['api_key']
  if (typeof key !== 'string' || !isPlaceholder(key)) return false
  if (out['payer'] !== undefined || !/^[\x21-\x7e]+$/.test(key)) delete out['api_key']
  else {
    out['api_key'] = key
    work.placeholder(['model_list', to, 'api_key'])
  }
  work.note(
    'placeholder',
    path,
    'is a placeholder, not a secret. Where the server wants a key, write api_key: os.environ/NAME.',
  )
  return true
}

/** Keys next to `litellm_params`: ours, and misspelt ones, which the schema refuses. */
function ownKeys(work: Translation, own: Fields, here: ConfigPath): Record<string, unknown> {
  const known = Object.keys(route.shape)
  const out: Record<string, unknown> = {}
  for (const [key, item] of Object.entries(own)) {
    if (known.includes(key) || nearestName(key, known) !== undefined) out[key] = item
    else work.ignore([...here, key], item)
  }
  return out
}

/** Converts YAML's 2.5e-06 to decimal text with the digits that were written; no calculation uses it. */
function decimal(item: unknown): unknown {
  if (typeof item !== 'number' || !Number.isFinite(item) || item < 0) return item
  const [mantissa = '', exponent = ''] = item.toExponential().split('e')
  const digits = mantissa.replace('.', '')
  const point = Number(exponent) + 1
  const padded = point > 0 ? digits.padEnd(point, '0') : `${'0'.repeat(1 - point)}${digits}`
  const whole = padded.slice(0, Math.max(1, point))
  const fraction = padded.slice(whole.length, whole.length + 18).replace(/0+$/, '')
  return fraction === '' ? whole : `${whole}.${fraction}`
}
