/** The seller for `BLOCKRUN_DRY_RUN=1`: returns one fixed completion, to test a client's setup without paying. */
import { json } from 'node:stream/consumers'
import { z } from 'zod'
import { serveOnLoopback, type LoopbackServer } from '../../io/transport/loopback.ts'

const REQUEST = z.object({ model: z.string(), stream: z.boolean().optional() })

const TEXT = 'tollway dry run ok'

/** Starts the seller on a free port; its API is at `url` + `/v1`. */
export async function startDryRunSeller(): Promise<LoopbackServer> {
  return await serveOnLoopback((request, response) => {
    json(request)
      .then((body) => {
        const { model, stream = false } = REQUEST.parse(body)
        const base = { id: 'chatcmpl-dry-run', created: Math.floor(Date.now() / 1000), model }
        const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }
        if (!stream) {
          const message = { role: 'assistant', content: TEXT }
          const choices = [{ index: 0, message, finish_reason: 'stop' }]
          response.setHeader('content-type', 'application/json')
          return response.end(JSON.stringify({ ...base, object: 'chat.completion', choices, usage }))
        }
        const chunk = (delta: object, finish: string | null): string =>
          `data: ${JSON.stringify({ ...base, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`
        response.setHeader('content-type', 'text/event-stream; charset=utf-8')
        return response.end(
          `${chunk({ role: 'assistant', content: TEXT }, null)}${chunk({}, 'stop')}data: [DONE]\n\n`,
        )
      })
      .catch(() => response.writeHead(400).end())
  })
}
