import express from 'express'
import type { ErrorRequestHandler, Express, RequestHandler } from 'express'
import { serveOnLoopback } from '../../../io/transport/loopback.ts'
import type { Model } from '../model/model.ts'
import { recordRequests } from './request-log.ts'
import type { SeenRequest } from './request-log.ts'

/** A running seller. */
export interface LocalSeller {
  /** Origin, without a trailing slash. */
  url: string
  /** The API base for an OpenAI client: `url` + `/v1`. */
  apiBase: string
  /** Requests received, oldest first. */
  log: SeenRequest[]
  /** Changes the price from now on, e.g. to `$0.002`. */
  setPrice(usd: string): void
  close(): Promise<void>
}

/** The paid paths, below a seller's API base. */
export const paidPaths = [
  '/chat/completions',
  '/completions',
  '/embeddings',
  '/responses',
  '/messages',
] as const

/**
 * An Express app that records every request and serves `GET /v1/models` free of charge.
 *
 * @param log - Receives every request.
 */
export function createSellerApp(model: Model, log: SeenRequest[]): Express {
  const app = express()
  app.disable('x-powered-by')
  app.use(recordRequests(log))
  app.get('/v1/models', model.models)
  return app
}

/**
 * Mounts the model behind a guard.
 *
 * @param base - Path before `/chat/completions` and the others, e.g. `/v1`.
 * @param guard - Handlers that let a request pass once it may be answered.
 */
export function mountModel(app: Express, base: string, model: Model, guard: RequestHandler[] = []): void {
  app.post(`${base}/chat/completions`, ...guard, model.chatCompletions)
  app.post(`${base}/completions`, ...guard, model.completions)
  app.post(`${base}/embeddings`, ...guard, model.embeddings)
  app.post(`${base}/responses`, ...guard, model.responses)
  app.post(`${base}/messages`, ...guard, model.messages)
}

/**
 * Starts to serve a finished app.
 *
 * @param log - The log in which the app records the requests.
 * @param setPrice - What the seller's `setPrice` does.
 */
export async function openSeller(
  app: Express,
  log: SeenRequest[],
  port: number | undefined,
  setPrice: (usd: string) => void,
): Promise<LocalSeller> {
  app.use(answerErrors)
  const server = await serveOnLoopback(app, port)
  return { url: server.url, apiBase: `${server.url}/v1`, log, setPrice, close: () => server.close() }
}

/** The last handler of a seller's app: an OpenAI-shaped 500, or a cut connection if the answer has begun. */
const answerErrors: ErrorRequestHandler = (error: unknown, _request, response, next) => {
  void next
  if (response.headersSent) {
    response.destroy()
    return
  }
  const message = error instanceof Error ? error.message : String(error)
  response.status(500).json({ error: { message, type: 'server_error', param: null, code: null } })
}
