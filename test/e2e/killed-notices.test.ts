/** The real process, killed while a call waits for a person and a webhook takes nothing: the next one tells what happened. */
import { readFileSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { ask } from '../kit/gateway.ts'
import { readyUrl, servePlace } from '../kit/serve-process.ts'
import { completion } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { startWebhookReceiver, status, WEBHOOK_SECRET } from '../kit/webhook-receiver.ts'

const ADMIN = 'the-admin-key-of-this-test'
const headers = { authorization: `Bearer ${ADMIN}`, 'content-type': 'application/json' }

test('rule 3: a call that waited is told as lost, unsent and uncounted, and undelivered messages are delivered after kill -9', async () => {
  Object.assign(process.env, { KILLED_SECRET: WEBHOOK_SECRET, KILLED_ADMIN: ADMIN })
  const upstream = await startScriptedSeller(() => completion())
  const receiver = await startWebhookReceiver()
  receiver.answers.push(...Array.from({ length: 8 }, () => status(503)))
  const place = servePlace(`
model_list:
  - { model_name: dear, api_base: "${upstream.apiBase}", model_info: { usd_per_request: "0.30" } }
  - { model_name: cheap, api_base: "${upstream.apiBase}", model_info: { usd_per_request: "0.20" } }
budgets: [{ name: all, limit_usd: "0.40", window: lifetime }]
policy: { approve_above_usd: "0.25" }
admin: { key: "\${env:KILLED_ADMIN}" }
notify: { url: "${receiver.url}", secret: "\${env:KILLED_SECRET}", at: ["0.5"] }
`)
  onTestFinished(async () => {
    await Promise.all([upstream.close(), receiver.close()])
    place.remove()
  })
  const killed = place.start()
  onTestFinished(() => killed.kill('SIGKILL'))
  const url = await readyUrl(killed)
  const approvals = async (at: string): Promise<Record<string, { approval: string; result?: string }[]>> =>
    (await (await fetch(`${at}/admin/approvals`, { headers })).json()) as never
  const lost = ask(url, { model: 'dear' }).catch(() => 'cut off')
  await expect.poll(async () => (await approvals(url))['approvals']?.length).toBe(1)
  const [waiting] = (await approvals(url))['approvals'] ?? []
  expect((await ask(url, { model: 'cheap' })).status).toBe(200)
  await expect.poll(() => receiver.received.length).toBeGreaterThanOrEqual(2)
  killed.kill('SIGKILL')
  await killed.end()
  expect(await lost).toBe('cut off')

  receiver.answers.length = 0
  receiver.received.length = 0
  const next = place.start()
  onTestFinished(() => next.kill('SIGKILL'))
  const again = await readyUrl(next)
  expect(await approvals(again)).toMatchObject({
    approvals: [],
    ended: [{ approval: waiting?.approval, result: 'lost', model: 'dear', max_usd: '0.3' }],
  })
  await expect.poll(() => receiver.received.map(({ body }) => body.type)).toEqual(['budget.level'])
  expect(receiver.received[0]).toMatchObject({
    isSigned: true,
    body: { data: { budget: 'all', level: '0.5' } },
  })
  const types = (): string[] =>
    readFileSync(place.audit, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => String((JSON.parse(line) as Record<string, unknown>)['type']))
      .filter((type) => /^(?:approval|notify)\./.test(type))
  await expect.poll(types).toEqual(['approval.requested', 'approval.lost', 'notify.delivered'])
  const decided = await fetch(`${again}/admin/approvals/${waiting?.approval}`, {
    method: 'POST',
    headers,
    body: '{"decision":"approved"}',
  })
  expect([decided.status, await decided.text()]).toEqual([404, expect.stringContaining('nothing was signed')])
  expect(upstream.requests).toHaveLength(1)
  next.kill('SIGTERM')
  expect((await next.end()).code).toBe(0)
})
