/** What the model endpoints answer: in `docs/openapi.json`, and what the tests' upstream sends. Other members may follow. */
import { z } from 'zod'

const text = z.string()
const count = z.int().min(0)
/** `cost` is what Tollway paid or was billed, USD. */
const USAGE = z.looseObject({ cost: z.number().optional() })
const MESSAGE = z.looseObject({ role: text, content: z.unknown().optional() })
const RANKED = z.looseObject({
  results: z.array(z.looseObject({ index: count, relevance_score: z.number() })),
})
const IMAGES = z.looseObject({ data: z.array(z.looseObject({})), usage: USAGE.optional() })
const WORDS = z.looseObject({ text })

/** One endpoint. */
export interface ModelAnswer {
  /** `undefined` for what is no JSON: speech. */
  readonly schema: z.ZodType | undefined
  /** An answer of that kind. */
  readonly sample: object
  /** Whether it can be asked for as an event stream. */
  readonly streams?: boolean
}

const ranked: ModelAnswer = { schema: RANKED, sample: { results: [{ index: 0, relevance_score: 0.5 }] } }
const images: ModelAnswer = { schema: IMAGES, sample: { created: 1, data: [{ b64_json: 'AA==' }] } }
const words: ModelAnswer = { schema: WORDS, sample: { text: 'hello' } }
const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }

/** By path without `/v1`. */
export const MODEL_ANSWERS: Readonly<Record<string, ModelAnswer>> = {
  '/chat/completions': {
    schema: z.looseObject({
      object: z.literal('chat.completion'),
      choices: z.array(z.looseObject({ index: count, message: MESSAGE, finish_reason: text.nullable() })),
      usage: USAGE.optional(),
    }),
    sample: {
      id: 'c',
      object: 'chat.completion',
      created: 1,
      model: 'm',
      choices: [{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }],
      usage,
    },
    streams: true,
  },
  '/completions': {
    schema: z.looseObject({
      object: z.literal('text_completion'),
      choices: z.array(z.looseObject({ text })),
      usage: USAGE.optional(),
    }),
    sample: {
      id: 'c',
      object: 'text_completion',
      created: 1,
      model: 'm',
      choices: [{ index: 0, text: 'hello', finish_reason: 'stop' }],
      usage,
    },
    streams: true,
  },
  '/embeddings': {
    schema: z.looseObject({
      object: z.literal('list'),
      data: z.array(z.looseObject({ embedding: z.union([z.array(z.number()), text]) })),
      usage: USAGE.optional(),
    }),
    sample: {
      object: 'list',
      data: [{ object: 'embedding', index: 0, embedding: [0.5] }],
      model: 'm',
      usage,
    },
  },
  '/responses': {
    schema: z.looseObject({
      object: z.literal('response'),
      output: z.array(z.looseObject({ type: text })),
      usage: USAGE.nullish(),
    }),
    sample: {
      id: 'resp_1',
      object: 'response',
      status: 'completed',
      output: [
        { type: 'message', id: 'm', role: 'assistant', content: [{ type: 'output_text', text: 'hello' }] },
      ],
      usage: { input_tokens: 1, output_tokens: 1, total_tokens: 2 },
    },
    streams: true,
  },
  '/responses/input_tokens': {
    schema: z.looseObject({ input_tokens: count }),
    sample: { object: 'response.input_tokens', input_tokens: 1 },
  },
  '/moderations': {
    schema: z.looseObject({ results: z.array(z.looseObject({ flagged: z.boolean() })) }),
    sample: { id: 'modr', model: 'm', results: [{ flagged: false, categories: {}, category_scores: {} }] },
  },
  '/images/generations': images,
  '/images/edits': images,
  '/images/variations': images,
  '/audio/speech': { schema: undefined, sample: {} },
  '/audio/transcriptions': words,
  '/audio/translations': words,
  '/messages': {
    schema: z.looseObject({
      type: z.literal('message'),
      role: z.literal('assistant'),
      content: z.array(z.looseObject({ type: text })),
      usage: USAGE.optional(),
    }),
    sample: {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'm',
      content: [{ type: 'text', text: 'hello' }],
      stop_reason: 'end_turn',
      usage: { input_tokens: 1, output_tokens: 1 },
    },
    streams: true,
  },
  '/messages/count_tokens': { schema: z.looseObject({ input_tokens: count }), sample: { input_tokens: 1 } },
  '/rerank': ranked,
  '/v2/rerank': ranked,
}
