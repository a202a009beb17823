/** The `stream` section, and the stream keys that a route may override. */
import { z } from 'zod'

const HOUR_SECONDS = 3600

const onDisconnect = () => z.enum(['abort', 'drain'])

/** Stream keys of an entry of `model_list`. */
export const streamRouteOptions = {
  on_disconnect: onDisconnect().optional().meta({
    description: "When the client leaves this route's paid answer, instead of stream.on_disconnect.",
    example: 'drain',
  }),
  always_stream: z.boolean().optional().meta({
    description:
      'The seller supports streams only: it is always asked for one, and clients that do not stream get JSON.',
    example: 'true',
  }),
  early_keepalive: z.boolean().optional().meta({
    description:
      'Opens the stream with keep-alive comments while a paid call is silent. Later failures are reported as an error in the stream, without an HTTP status.',
    example: 'true',
  }),
  events_per_second: z.number().min(0.1).max(10_000).optional().meta({
    description:
      'Maximum events per second sent to the client of a paid stream; paces sellers that send their whole answer at once.',
    example: '50',
  }),
} as const

/** The `stream` section. */
export const streamSchema = z
  .strictObject({
    keepalive_seconds: z
      .number()
      .min(0)
      .max(HOUR_SECONDS)
      .transform((seconds) => Math.round(seconds * 1000))
      .prefault(15)
      .meta({
        description:
          'Longest silence of a paid stream before a keep-alive comment is sent; every SSE client ignores comments. 0 sends none.',
        example: '15',
      }),
    on_disconnect: onDisconnect().default('abort').meta({
      description: 'When the client leaves mid-answer: stop the paid seller, or read its answer to the end.',
      example: 'abort',
    }),
    on_truncated: z.enum(['length', 'error']).default('length').meta({
      description:
        'How a broken paid stream ends for the client: as an answer that reached its length limit, or with an error. Many clients resend a request after an error, and pay again.',
      example: 'length',
    }),
  })
  .prefault({})
  .meta({ description: 'Streamed answers (docs/streams.md).' })
