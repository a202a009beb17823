/** The real process and SIGTERM, with paid streams on their way. */
import type { ServerResponse } from 'node:http'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import type { Child } from '../kit/child.ts'
import { ask } from '../kit/gateway.ts'
import { receiptV2 } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { type ScriptedSeller } from '../kit/scripted-seller.ts'
import { readyUrl, servePlace, type ServePlace } from '../kit/serve-process.ts'

const EVENT = (text: string): string =>
  `data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, delta: { content: text }, finish_reason: null }] })}\n\n`
const END = 'data: [DONE]\n\n'

let seller: ScriptedSeller
let place: ServePlace
/** The seller's answer to the payment, its first event sent. */
let stream: PromiseWithResolvers<ServerResponse>

beforeEach(async () => {
  stream = Promise.withResolvers()
  seller = await startScriptedSeller({
    paid: (_request, response) => {
      const headers = { 'content-type': 'text/event-stream', ...receiptV2({ success: true }) }
      response.writeHead(200, headers).write(EVENT('one'))
      stream.resolve(response)
    },
  })
})

afterEach(async () => {
  await seller.close()
  place.remove()
})

/** A gateway with one paid stream of which the client has the first event. */
async function streaming(shutdownSeconds: number): Promise<{
  gateway: Child
  url: string
  response: ServerResponse
  rest: () => Promise<string>
}> {
  place = servePlace(`
model_list: [{ model_name: "paid/*", model: "*", api_base: "${seller.apiBase}", payer: base }]
timeouts: { shutdown_seconds: ${shutdownSeconds} }
`)
  const gateway = place.start()
  onTestFinished(() => gateway.kill('SIGKILL'))
  const url = await readyUrl(gateway)
  const answer = await ask(url, { model: 'paid/m', stream: true })
  const reader = answer.body?.getReader()
  expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe(EVENT('one'))
  const rest = async (): Promise<string> => {
    let text = ''
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
      text += Buffer.from(part.value).toString()
    }
    return text
  }
  return { gateway, url, response: await stream.promise, rest }
}

/** Resolves when nothing listens at an address any more. */
async function refused(url: string): Promise<void> {
  for (;;) {
    const answer = await fetch(`${url}/health/live`, { headers: { connection: 'close' } }).catch(
      () => undefined,
    )
    if (!answer) return
    await answer.text()
  }
}

async function booked(): Promise<unknown[]> {
  expect(await verifyAudit(place.audit)).toMatchObject({ ok: true, openIntents: [], torn: false })
  return await place.withLedger(async (store) =>
    (await store.charges()).map(({ state, reason }) => [state, reason]),
  )
}

test('a paid stream on its way is delivered whole, new connections are refused, and the process ends with 0', async () => {
  const { gateway, url, response, rest } = await streaming(30)
  gateway.kill('SIGTERM')
  await refused(url)
  response.write(EVENT('two'))
  response.end(END)
  expect(await rest()).toBe(`${EVENT('two')}${END}`)
  expect(await gateway.end()).toMatchObject({ code: 0 })
  expect(await booked()).toEqual([['settled', 'receipt']])
})

test('a stream that exceeds shutdown_seconds is cut short and stays booked, and the process ends with 0', async () => {
  const { gateway, rest } = await streaming(0.3)
  gateway.kill('SIGTERM')
  const text = await rest().catch(() => 'cut')
  expect(text === 'cut' || !text.includes('"finish_reason":"stop"')).toBe(true)
  expect(await gateway.end()).toMatchObject({ code: 0 })
  expect(await booked()).toEqual([['settled', 'receipt']])
})

test('a second signal ends the process at once with 1; the payment is booked all the same', async () => {
  const { gateway, url } = await streaming(3600)
  gateway.kill('SIGTERM')
  await refused(url)
  gateway.kill('SIGTERM')
  expect(await gateway.end()).toMatchObject({ code: 1 })
  expect(await booked()).toEqual([['settled', 'receipt']])
})
