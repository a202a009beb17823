import { createHash } from 'node:crypto'
import type { Request, RequestHandler, Response } from 'express'
import { z } from 'zod'
import { chatChunks, chatReply, completionChunks, completionReply } from './model-chat.ts'
import { messagesEvents, messagesReply } from './model-messages.ts'
import {
  ChatRequest,
  CompletionRequest,
  EmbeddingRequest,
  MessagesRequest,
  ofChat,
  ofCompletion,
  ofMessages,
  ofResponses,
  ResponsesRequest,
} from './model-requests.ts'
import { responsesEvents, responsesReply } from './model-responses.ts'
import { takeTurn, type ModelEvent } from './model-turn.ts'

/** The models that the sandbox's sellers offer. They all answer the same way. */
export const sandboxModels: readonly string[] = ['sandbox-small', 'sandbox-large']

/** One fault that occurs once, at the model's next answer. */
export type ModelFault =
  /** Answers with this status and an OpenAI-shaped error. */
  | { status: number }
  /** Cuts the connection after this many chunks of a stream. */
  | { cutAfterChunks: number }

/** How the model answers. */
export interface ModelOptions {
  /** Milliseconds since the epoch; gives `created`. Default: the system clock. */
  clock?: { now(): number } | undefined
  /** Pause before every chunk of a stream, in ms. Default 0. */
  chunkDelayMs?: number | undefined
  /** Awaited before a chunk is written (index from 0). A test holds the stream here, with no timing involved. */
  beforeChunk?: ((index: number) => void | Promise<void>) | undefined
  /** Push a fault to have the next answer fail; each is used once, in order. */
  faults?: ModelFault[] | undefined
}

/**
 * A model with OpenAI's and Anthropic's APIs as Express handlers. Each expects the raw request body as a Buffer in
 * `request.body`.
 */
export interface Model {
  chatCompletions: RequestHandler
  completions: RequestHandler
  embeddings: RequestHandler
  responses: RequestHandler
  messages: RequestHandler
  models: RequestHandler
}

/**
 * Builds the model. The same request at the same clock time gives the same answer, including ids.
 */
export function createModel(options: ModelOptions = {}): Model {
  const clock = options.clock ?? Date
  const created = () => Math.floor(clock.now() / 1000)

  const failed = (response: Response): boolean => {
    const fault = options.faults?.[0]
    if (fault === undefined || !('status' in fault)) return false
    options.faults?.shift()
    refuse(response, fault.status, `the sandbox was told to answer ${fault.status}`, 'server_error')
    return true
  }

  const answer = async (response: Response, stream: boolean, events: readonly string[], whole: object) => {
    if (failed(response)) return
    if (!stream) {
      response.json(whole)
      return
    }
    const fault = options.faults?.shift()
    const cut = fault !== undefined && 'cutAfterChunks' in fault ? fault.cutAfterChunks : Infinity
    response
      .status(200)
      .set({ 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' })
    response.flushHeaders()
    for (const [index, event] of events.entries()) {
      if (index >= cut) {
        response.destroy()
        return
      }
      await options.beforeChunk?.(index)
      await pause(options.chunkDelayMs ?? 0, response)
      // The reader has left: a real model would stop generating too.
      if (response.destroyed) return
      response.write(event)
    }
    response.end()
  }

  return {
    chatCompletions: handler(ChatRequest, (request, response) => {
      const [head, turn] = [{ model: request.model, created: created() }, takeTurn(ofChat(request))]
      const usage = request.stream_options?.include_usage === true
      const events = openAiEvents(chatChunks(head, turn, usage))
      return answer(response, request.stream, events, chatReply(head, turn))
    }),
    completions: handler(CompletionRequest, (request, response) => {
      const [head, turn] = [{ model: request.model, created: created() }, takeTurn(ofCompletion(request))]
      const usage = request.stream_options?.include_usage === true
      const events = openAiEvents(completionChunks(head, turn, usage))
      return answer(response, request.stream, events, completionReply(head, turn))
    }),
    responses: handler(ResponsesRequest, (request, response) => {
      const [head, turn] = [{ model: request.model, created: created() }, takeTurn(ofResponses(request))]
      return answer(
        response,
        request.stream,
        namedEvents(responsesEvents(head, turn)),
        responsesReply(head, turn),
      )
    }),
    messages: handler(MessagesRequest, (request, response) => {
      const { model, stream } = request
      const turn = takeTurn(ofMessages(request))
      return answer(response, stream, namedEvents(messagesEvents(model, turn)), messagesReply(model, turn))
    }),
    embeddings: handler(EmbeddingRequest, async (request, response) => {
      const tokens = request.input.reduce((sum, text) => sum + Math.ceil(text.length / 4), 0)
      const data = request.input.map((text, index) => {
        const vector = embed(text)
        const packed = Buffer.from(Float32Array.from(vector).buffer).toString('base64')
        return {
          object: 'embedding',
          index,
          embedding: request.encoding_format === 'base64' ? packed : vector,
        }
      })
      await answer(response, false, [], {
        object: 'list',
        data,
        model: request.model,
        usage: { prompt_tokens: tokens, total_tokens: tokens },
      })
    }),
    models: (_request, response) => {
      const data = sandboxModels.map((id) => ({
        id,
        object: 'model',
        created: 0,
        owned_by: 'tollway-sandbox',
      }))
      response.json({ object: 'list', data })
    },
  }
}

function handler<T>(
  schema: z.ZodType<T>,
  reply: (request: T, response: Response) => Promise<void>,
): RequestHandler {
  return async (request, response) => {
    const parsed = schema.safeParse(readJson(request))
    if (parsed.success) await reply(parsed.data, response)
    else refuse(response, 400, z.prettifyError(parsed.error), 'invalid_request_error')
  }
}

function openAiEvents(chunks: readonly object[]): string[] {
  return [...chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`), 'data: [DONE]\n\n']
}

function namedEvents(events: readonly ModelEvent[]): string[] {
  return events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
}

/** Eight numbers in [-1, 1), exact in 32 bits, determined by the text. */
function embed(text: string): number[] {
  return [...createHash('sha256').update(text).digest().subarray(0, 8)].map((byte) => byte / 128 - 1)
}

function readJson(request: Request): unknown {
  const body: unknown = request.body
  try {
    return JSON.parse(Buffer.isBuffer(body) ? body.toString('utf8') : '')
  } catch {
    return undefined
  }
}

function refuse(response: Response, status: number, message: string, type: string): void {
  response.status(status).json({ error: { message, type, param: null, code: null } })
}

/** Pauses, but stops when the reader leaves. */
async function pause(ms: number, response: Response): Promise<void> {
  if (ms <= 0 || response.destroyed) return
  await new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer)
      response.off('close', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    response.once('close', done)
  })
}
