/** OpenTelemetry's `gen_ai.operation.name` of a served path; where there is none, the first segment of the path. */
export function operationOf(endpoint: string): string {
  switch (endpoint) {
    case '/chat/completions':
    case '/responses':
    case '/messages':
      return 'chat'
    case '/completions':
      return 'text_completion'
    case '/embeddings':
      return 'embeddings'
    default:
      return endpoint.split('/')[1] ?? endpoint
  }
}
