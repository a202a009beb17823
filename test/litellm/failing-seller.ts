/** A seller that takes the payment, has it settled on the chain, and then answers something else than the result. */
import type { ServerResponse } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { relay, startFront } from '../kit/front.ts'
import type { ScriptedSeller } from '../kit/scripted-seller.ts'

/** The statuses it answers with after a payment; each is a model of its own, `after-422` and so on. */
export const AFTER_PAYMENT = [400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503] as const

/** Words by which LiteLLM decides to send a request again with a changed body, and one about context windows. */
export const TEMPTING = [
  'Conversation roles must alternate user/assistant/user/assistant',
  'Last message must have role `user`',
  'unknown field: parameter index is not a valid field',
  "This model's maximum context length is 10 tokens",
].join('. ')

/** How long `after-long` takes once it was paid, ms. */
export const SLOW_MS = 3_000

/** Half a stream. */
function cut(response: ServerResponse, receipt: string): void {
  const choices = [{ index: 0, delta: { role: 'assistant', content: 'half' }, finish_reason: null }]
  const chunk = { id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices }
  response.writeHead(200, { 'content-type': 'text/event-stream', 'payment-response': receipt })
  response.write(`data: ${JSON.stringify(chunk)}\n\n`)
  setImmediate(() => response.destroy())
}

/** @param sellerUrl root address of a real seller, which is paid */
export async function startFailingSeller(sellerUrl: string): Promise<ScriptedSeller> {
  return await startFront(sellerUrl, async (request, response, forward) => {
    const { model } = JSON.parse(request.body.toString()) as { model: string }
    const answer = await forward()
    const [, status, receipt] = /^after-(\d+)(-receipt)?$/.exec(model) ?? []
    if (model === 'after-nothing') return void response.destroy()
    if (model === 'after-cut') {
      await answer.arrayBuffer()
      return cut(response, answer.headers.get('payment-response') ?? '')
    }
    if (model === 'after-long') await pause(SLOW_MS)
    if (status === undefined) return await relay(response, answer)
    await answer.arrayBuffer()
    const proof = answer.headers.get('payment-response')
    response.writeHead(Number(status), {
      'content-type': 'application/json',
      ...(receipt !== undefined && proof !== null ? { 'payment-response': proof } : {}),
    })
    // What LiteLLM looks into after a 422, to drop what it names and to send the rest again.
    const message = JSON.stringify({ detail: [{ loc: ['body', 'temperature'], msg: TEMPTING }] })
    response.end(JSON.stringify({ error: { message, type: 'invalid_request_error', code: null } }))
  })
}
