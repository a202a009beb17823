/** OpenTelemetry's semantic conventions for GenAI (status: development), as far as metrics and traces use them. */

/**
 * `gen_ai.operation.name` of a served path. Where the convention has no name of its own, the path's is used, which the convention
 * allows: `moderations`, `count_tokens`.
 */
export function operationOf(endpoint: string): string {
  if (/\/(?:count_tokens|input_tokens)$/.test(endpoint)) return 'count_tokens'
  const family = endpoint.split('/')[1] ?? endpoint
  switch (family) {
    case 'chat':
    case 'responses':
    case 'messages':
      return 'chat'
    case 'completions':
      return 'text_completion'
    case 'embeddings':
      return 'embeddings'
    case 'images':
    case 'audio':
      return 'generate_content'
    default:
      return family
  }
}

/**
 * `gen_ai.provider.name`: as the route names it (`provider`), or else the host of its seller or upstream.
 * @param apiBase an absolute URL
 */
export function providerOf(route: {
  readonly provider?: string | undefined
  readonly apiBase: string
}): string {
  return route.provider ?? new URL(route.apiBase).host
}
