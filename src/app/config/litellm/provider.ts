/** Interprets `litellm_params.model`: a provider, a slash, and the provider's name of the model. */

type Fields = Readonly<Record<string, unknown>>

/** The seller's part of a route. */
export interface NamedModel {
  readonly model: string | undefined
  readonly api_base: string | undefined
  /** The environment variable that LiteLLM reads the key from where none is given. */
  readonly keyVariable: string | undefined
}

/** Providers that offer OpenAI's API at their own address. */
const HOSTED: Readonly<Record<string, { readonly base: string; readonly key: string }>> = {
  openai: { base: 'https://api.openai.com/v1', key: 'OPENAI_API_KEY' },
  openrouter: { base: 'https://openrouter.ai/api/v1', key: 'OPENROUTER_API_KEY' },
  groq: { base: 'https://api.groq.com/openai/v1', key: 'GROQ_API_KEY' },
  deepseek: { base: 'https://api.deepseek.com/v1', key: 'DEEPSEEK_API_KEY' },
  mistral: { base: 'https://api.mistral.ai/v1', key: 'MISTRAL_API_KEY' },
  xai: { base: 'https://api.x.ai/v1', key: 'XAI_API_KEY' },
  together_ai: { base: 'https://api.together.xyz/v1', key: 'TOGETHERAI_API_KEY' },
  perplexity: { base: 'https://api.perplexity.ai', key: 'PERPLEXITYAI_API_KEY' },
  nvidia_nim: { base: 'https://integrate.api.nvidia.com/v1', key: 'NVIDIA_NIM_API_KEY' },
  cerebras: { base: 'https://api.cerebras.ai/v1', key: 'CEREBRAS_API_KEY' },
  sambanova: { base: 'https://api.sambanova.ai/v1', key: 'SAMBANOVA_API_KEY' },
  deepinfra: { base: 'https://api.deepinfra.com/v1/openai', key: 'DEEPINFRA_API_KEY' },
  moonshot: { base: 'https://api.moonshot.ai/v1', key: 'MOONSHOT_API_KEY' },
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
  'vllm',
  'xinference',
])

/** Providers with an API of their own, which LiteLLM translates and Tollway does not. */
const FOREIGN: ReadonlySet<string> = new Set(
  `a2a aiml ai21 ai21_chat aleph_alpha anthropic anthropic_text assemblyai auto_router aws_polly azure azure_ai azure_text
  baseten bedrock bedrock_converse black_forest_labs bytez chatgpt clarifai cloudflare codestral cohere cohere_chat custom
  dashscope databricks datarobot deepgram elevenlabs fal_ai fireworks_ai gemini gigachat github_copilot heroku huggingface
  infinity jina_ai langgraph maritalk milvus nlp_cloud oci ollama ollama_chat oobabooga palm petals pg_vector predibase
  recraft replicate runwayml sagemaker sagemaker_chat sap snowflake stability text-completion-codestral topaz triton
  vertex_ai vertex_ai_beta voyage watsonx watsonx_text`.split(/\s+/),
)

/**
 * Why an entry cannot be a route here.
 * @returns `undefined` when it can
 */
export function foreignProvider(params: Fields): string | undefined {
  const { prefix, provider } = providerOf(params)
  if (provider !== undefined && FOREIGN.has(provider)) {
    return `the provider ${provider} has an API of its own, which Tollway does not speak`
  }
  const known = provider !== undefined && (Object.hasOwn(HOSTED, provider) || COMPATIBLE.has(provider))
  if (!hasBase(params) && prefix !== undefined && !known) {
    return `it has no api_base, and Tollway knows no address of its provider`
  }
  return provider !== undefined && !hasBase(params) && COMPATIBLE.has(provider)
    ? `it has no api_base, which the provider ${provider} needs`
    : undefined
}

function providerOf(params: Fields): {
  readonly prefix: string | undefined
  readonly provider: string | undefined
} {
  const text = params['model']
  const slash = typeof text === 'string' ? text.indexOf('/') : -1
  const prefix = typeof text === 'string' && slash > 0 ? text.slice(0, slash) : undefined
  const given = params['custom_llm_provider']
  return { prefix, provider: typeof given === 'string' ? given : prefix }
}

function hasBase(params: Fields): boolean {
  return [params['api_base'], params['base_url']].some(
    (base) => base !== undefined && base !== null && base !== '',
  )
}

/** @param publicName the entry's `model_name` */
export function litellmModel(params: Fields, publicName: unknown): NamedModel {
  const text = params['model']
  if (typeof text !== 'string') return { model: undefined, api_base: undefined, keyVariable: undefined }
  const { prefix, provider } = providerOf(params)
  const known = prefix !== undefined && (Object.hasOwn(HOSTED, prefix) || COMPATIBLE.has(prefix))
  const model = known ? text.slice(prefix.length + 1) : text
  const hosted = HOSTED[provider !== undefined && Object.hasOwn(HOSTED, provider) ? provider : 'openai']
  // A name without a provider prefix is a model of OpenAI.
  const needsHost = !hasBase(params) && !COMPATIBLE.has(provider ?? '')
  return {
    model: model === publicName ? undefined : model,
    api_base: needsHost ? hosted?.base : undefined,
    keyVariable: needsHost ? hosted?.key : undefined,
  }
}
