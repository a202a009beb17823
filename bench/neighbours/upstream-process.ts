/** A model that answers at once with a fixed chat completion, and tells LiteLLM that each call cost $0.18. */
import type { ServerResponse } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { z } from 'zod'
import { serveOnLoopback } from '../../src/io/transport/loopback.ts'
import { servePart } from '../child.ts'

/** How long an answer takes where the model's name is `slow`: long enough for 100 calls to be under way at once, ms. */
const SLOW_MS = 500

const ANSWER = JSON.stringify({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'local',
  choices: [{ index: 0, message: { role: 'assistant', content: 'x'.repeat(700) }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 10, completion_tokens: 10, total_tokens: 20 },
})

await servePart(z.null(), async () => {
  let answered = 0
  const answer = async (response: ServerResponse, isSlow: boolean): Promise<void> => {
    if (isSlow) await pause(SLOW_MS)
    answered += 1
    response
      .writeHead(200, { 'content-type': 'application/json', 'x-litellm-response-cost': '0.18' })
      .end(ANSWER)
  }
  const server = await serveOnLoopback((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      answer(response, Buffer.concat(chunks).includes('"slow"')).catch(() => response.destroy())
    })
  })
  return {
    facts: { url: server.url },
    figures: { answered: () => Promise.resolve(answered) },
    close: () => server.close(),
  }
})
