/** The requests that the sandbox's model understands, and the question in each of them. */
import { z } from 'zod'
import type { Conversation } from './model-turn.ts'

const Text = z.union([
  z.string(),
  z
    .array(z.looseObject({ text: z.string().optional() }))
    .transform((all) => all.map((p) => p.text ?? '').join(' ')),
])
const shared = {
  model: z.string().default('sandbox-small'),
  stream: z.boolean().default(false),
}
const completion = {
  ...shared,
  stream_options: z.looseObject({ include_usage: z.boolean().default(false) }).nullish(),
  max_tokens: z.int().positive().nullish(),
}

/** `POST /v1/chat/completions` */
export const ChatRequest = z.looseObject({
  ...completion,
  max_completion_tokens: z.int().positive().nullish(),
  messages: z.array(z.looseObject({ role: z.string(), content: Text.nullish() })).min(1),
  tools: z.array(z.looseObject({ function: z.looseObject({ name: z.string() }).optional() })).nullish(),
  tool_choice: z
    .union([
      z.enum(['auto', 'none', 'required']),
      z.looseObject({ function: z.looseObject({ name: z.string() }) }).transform((c) => c.function),
    ])
    .nullish(),
  response_format: z
    .looseObject({ type: z.string(), json_schema: z.looseObject({ schema: z.unknown() }).optional() })
    .nullish(),
})

/** `POST /v1/completions` */
export const CompletionRequest = z.looseObject({
  ...completion,
  prompt: z.union([z.string(), z.array(z.string()).transform((all) => all.join('\n'))]),
})

/** `POST /v1/embeddings` */
export const EmbeddingRequest = z.looseObject({
  model: z.string().default('sandbox-small'),
  input: z.union([z.string().transform((one) => [one]), z.array(z.string()).min(1)]),
  encoding_format: z.enum(['float', 'base64']).default('float'),
})

const ResponsesItem = z.looseObject({
  type: z.string().optional(),
  role: z.string().optional(),
  content: Text.nullish(),
  output: Text.nullish(),
})

/** `POST /v1/responses` */
export const ResponsesRequest = z.looseObject({
  ...shared,
  input: z.union([
    z.string().transform((content) => [{ role: 'user', content }]),
    z.array(ResponsesItem).min(1),
  ]),
  instructions: z.string().nullish(),
  max_output_tokens: z.int().positive().nullish(),
  tools: z.array(z.looseObject({ name: z.string().optional() })).nullish(),
  tool_choice: z.union([z.enum(['auto', 'none', 'required']), z.looseObject({ name: z.string() })]).nullish(),
  text: z.looseObject({ format: z.looseObject({ schema: z.unknown() }).nullish() }).nullish(),
})

const Block = z.looseObject({ type: z.string(), text: z.string().optional(), content: Text.optional() })

/** `POST /v1/messages` */
export const MessagesRequest = z.looseObject({
  ...shared,
  max_tokens: z.int().positive(),
  system: Text.nullish(),
  messages: z
    .array(
      z.looseObject({
        role: z.enum(['user', 'assistant']),
        content: z.union([z.string().transform((text) => [{ type: 'text', text }]), z.array(Block)]),
      }),
    )
    .min(1),
  tools: z.array(z.looseObject({ name: z.string() })).nullish(),
  tool_choice: z.looseObject({ type: z.string(), name: z.string().optional() }).nullish(),
})

/** The conversation in a chat completion request. */
export function ofChat(request: z.output<typeof ChatRequest>): Conversation {
  const lines = request.messages.map(({ role, content }) => ({ role, text: content ?? '' }))
  const format = request.response_format
  return {
    ...sinceLastAnswer(lines),
    model: request.model,
    tools: (request.tools ?? []).flatMap((tool) => tool.function?.name ?? []),
    choice: request.tool_choice ?? 'auto',
    maxTokens: request.max_completion_tokens ?? request.max_tokens ?? undefined,
    schema: format?.type === 'text' ? undefined : (format?.json_schema?.schema ?? (format ? {} : undefined)),
  }
}

/** The conversation in a completion request. */
export function ofCompletion(request: z.output<typeof CompletionRequest>): Conversation {
  const plain = { results: [], tools: [], choice: 'none' as const }
  const { model, prompt, max_tokens } = request
  return { ...plain, model, text: prompt, question: prompt, maxTokens: max_tokens ?? undefined }
}

/** The conversation in a Responses request. */
export function ofResponses(request: z.output<typeof ResponsesRequest>): Conversation {
  const lines = request.input.map((item) => {
    const { type, role, content, output } = item as z.output<typeof ResponsesItem>
    if (type === 'function_call_output') return { role: 'tool', text: output ?? '' }
    return { role: type === 'function_call' ? 'assistant' : (role ?? 'user'), text: content ?? '' }
  })
  return {
    ...sinceLastAnswer([
      ...(request.instructions ? [{ role: 'system', text: request.instructions }] : []),
      ...lines,
    ]),
    model: request.model,
    tools: (request.tools ?? []).flatMap(({ name }) => name ?? []),
    choice: request.tool_choice ?? 'auto',
    maxTokens: request.max_output_tokens ?? undefined,
    schema: request.text?.format?.schema,
  }
}

/** The conversation in a Messages request. */
export function ofMessages(request: z.output<typeof MessagesRequest>): Conversation {
  const lines = request.messages.flatMap(({ role, content }) =>
    content.map((block) => {
      const { type, text, content: inner } = block as z.output<typeof Block>
      return type === 'tool_result' ? { role: 'tool', text: inner ?? '' } : { role, text: text ?? '' }
    }),
  )
  const choice = request.tool_choice
  return {
    ...sinceLastAnswer([...(request.system ? [{ role: 'system', text: request.system }] : []), ...lines]),
    model: request.model,
    tools: (request.tools ?? []).map(({ name }) => name),
    choice:
      choice?.name !== undefined
        ? { name: choice.name }
        : choice?.type === 'any'
          ? 'required'
          : choice?.type === 'none'
            ? 'none'
            : 'auto',
    maxTokens: request.max_tokens,
  }
}

/** The part of a conversation that the model has not answered yet. */
function sinceLastAnswer(
  lines: readonly { readonly role: string; readonly text: string }[],
): Pick<Conversation, 'text' | 'question' | 'results'> {
  const fresh = lines.slice(lines.findLastIndex(({ role }) => role === 'assistant') + 1)
  const said = (role: string): string[] => fresh.filter((line) => line.role === role).map(({ text }) => text)
  const text = lines.map((line) => line.text).join('\n')
  return { text, question: said('user').join('\n') || text, results: said('tool') }
}
