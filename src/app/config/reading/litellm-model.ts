/** Interprets `litellm_params.model`: a provider, a slash, and the provider's name of the model. */

type Fields = Readonly<Record<string, unknown>>

/** The seller's part of a route, or why it cannot be derived. */
export type NamedModel =
  | {
      readonly model: string | undefined
      readonly api_base: string | undefined
      readonly api_key: string | undefined
    }
  | { readonly fault: string }

/** Providers that offer OpenAI's API at their own address. */
const HOSTED: Readonly<Record<string, { readonly base: string; readonly key: string }>> = {
  openai: { base: 'https://api.openai.com/v1', key: 'OPENAI_API_KEY' },
  openrouter: { base: 'https://openrouter.ai/api/v1', key: 'OPENROUTER_API_KEY' },
  groq: { base: 'https://api.groq.com/openai/v1', key: 'GROQ_API_KEY' },
  deepseek: { base: 'https://api.deepseek.com/v1', key: 'DEEPSEEK_API_KEY' },
  mistral: { base: 'https://api.mistral.ai/v1', key: 'MISTRAL_API_KEY' },
  xai: { base: 'https://api.x.ai/v1', key: 'XAI_API_KEY' },
}

/** Prefixes for servers that offer OpenAI's API at the address in `api_base`. */
const COMPATIBLE: ReadonlySet<string> = new Set([
  'custom_openai',
  'hosted_vllm',
  'litellm_proxy',
  'llamafile',
  'lm_studio',
  'openai_like',
  'text-completion-openai',
])

/** Providers with their own API, which LiteLLM translates and Tollway does not. */
const FOREIGN: ReadonlySet<string> = new Set([
  'anthropic',
  'azure',
  'azure_ai',
  'bedrock',
  'cohere',
  'cohere_chat',
  'gemini',
  'huggingface',
  'ollama',
  'ollama_chat',
  'replicate',
  'sagemaker',
  'vertex_ai',
  'watsonx',
])

/**
 * @param publicName the entry's `model_name`
 * @param keyed whether the route takes a key; a paid one takes none
 */
export function litellmModel(params: Fields, publicName: unknown, keyed: boolean): NamedModel {
  const text = params['model']
  if (typeof text !== 'string') return { model: undefined, api_base: undefined, api_key: undefined }
  const slash = text.indexOf('/')
  const given = params['custom_llm_provider']
  const prefix = slash > 0 ? text.slice(0, slash) : undefined
  const provider = typeof given === 'string' ? given : prefix
  if (provider !== undefined && FOREIGN.has(provider)) {
    return {
      fault:
        `is of a provider with an API of its own, which Tollway does not speak. Name an OpenAI-compatible api_base ` +
        'and write openai/ before the model, or leave this model to the upstream.',
    }
  }
  const hasBase = params['api_base'] !== undefined || params['base_url'] !== undefined
  const known = prefix !== undefined && (Object.hasOwn(HOSTED, prefix) || COMPATIBLE.has(prefix))
  const model = known && slash > 0 ? text.slice(slash + 1) : text
  const hosted = HOSTED[provider !== undefined && Object.hasOwn(HOSTED, provider) ? provider : 'openai']
  // A name without a provider prefix is a model of OpenAI.
  const needsHost = !hasBase && (prefix === undefined || known) && !COMPATIBLE.has(provider ?? '')
  return {
    model: model === publicName ? undefined : model,
    api_base: needsHost ? hosted?.base : undefined,
    api_key:
      needsHost && keyed && hosted && params['api_key'] === undefined ? `\${env:${hosted.key}}` : undefined,
  }
}
