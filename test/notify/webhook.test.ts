/** Messages over real HTTP to a server that takes them, refuses them, hangs up or is not there. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { webhookHeaders } from '../../src/io/webhook/sign-webhook.ts'
import { Webhook, type WebhookTarget } from '../../src/io/webhook/webhook.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { reset, startWebhookReceiver, status, WEBHOOK_SECRET } from '../kit/webhook-receiver.ts'

const NOW = Date.parse('2026-11-21T10:00:00.000Z')
const MESSAGE = { id: 'msg_1', body: '{"type":"budget.level","text":"half","data":{}}' }
const WAITS = [1_000, 5_000, 15_000, 60_000, 120_000, 300_000, 600_000]

let receiver: Awaited<ReturnType<typeof startWebhookReceiver>>
let timers: ManualTimers
let target: WebhookTarget | undefined
let webhook: Webhook

beforeEach(async () => {
  receiver = await startWebhookReceiver()
  timers = new ManualTimers()
  target = { url: receiver.url, secret: WEBHOOK_SECRET }
  webhook = new Webhook({ target: () => target, clock: { now: () => NOW }, timers })
})
afterEach(async () => {
  webhook.close()
  await receiver.close()
})

describe('a signature', () => {
  test('is the one that Standard Webhooks publishes for its example', () => {
    const headers = webhookHeaders(
      'msg_p5jXN8AQM9LWM0D4loKWxJek',
      1_614_265_330_000,
      '{"test": 2432232314}',
      'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    )
    expect(headers).toEqual({
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    })
  })

  test('is of the body, the id and the time of the attempt, by a secret of plain text too', async () => {
    await webhook.send(MESSAGE)
    expect(receiver.received).toMatchObject([{ id: 'msg_1', path: '/hook', isSigned: true }])
    expect(webhookHeaders('a', NOW, 'b', 'c')['webhook-timestamp']).toBe('1795255200')
  })
})

describe('a message', () => {
  test('that is taken is delivered by one attempt', async () => {
    expect(await webhook.send(MESSAGE)).toEqual({ result: 'delivered', attempts: 1 })
    expect(timers.size).toBe(0)
  })

  test.each([
    ['500', status(500)],
    ['404', status(404)],
    ['429', status(429)],
    ['no answer', reset],
    ['a redirect, which is not followed', status(307, { location: '/elsewhere' })],
  ])('answered with %s is sent again under the same id', async (_name, refusal) => {
    receiver.answers.push(refusal, refusal)
    const ended = webhook.send(MESSAGE)
    await timers.fire(1_000)
    await timers.fire(5_000)
    expect(await ended).toEqual({ result: 'delivered', attempts: 3 })
    expect(receiver.received.map(({ id, path }) => `${id} ${path}`)).toEqual(Array(3).fill('msg_1 /hook'))
  })

  test('that is never taken has failed after eight attempts, with waits that grow', async () => {
    receiver.answers.push(...WAITS.map(() => status(500)), status(503))
    const ended = webhook.send(MESSAGE)
    for (const wait of WAITS) await timers.fire(wait)
    expect(await ended).toEqual({ result: 'failed', attempts: 8, why: 'status 503' })
    expect(receiver.received).toHaveLength(8)
  })

  test('to where nothing listens fails with the system code and without the address', async () => {
    await receiver.close()
    const ended = webhook.send(MESSAGE)
    for (const wait of WAITS) await timers.fire(wait)
    expect(await ended).toEqual({ result: 'failed', attempts: 8, why: 'ECONNREFUSED' })
  })

  test('goes to the address that is in force when it is repeated', async () => {
    receiver.answers.push(status(500))
    const ended = webhook.send(MESSAGE)
    await timers.armed(1_000)
    target = { url: `${receiver.url}/new`, secret: WEBHOOK_SECRET }
    await timers.fire(1_000)
    await ended
    expect(receiver.received.map(({ path }) => path)).toEqual(['/hook', '/hook/new'])
  })
})

describe('a webhook that takes nothing', () => {
  test('holds up to 100 messages and drops the next', async () => {
    receiver.answers.push(...Array.from({ length: 200 }, () => status(500)))
    const waiting = Array.from({ length: 100 }, async (_, n) => webhook.send({ ...MESSAGE, id: `msg_${n}` }))
    expect(await webhook.send(MESSAGE)).toEqual({ result: 'dropped' })
    webhook.close()
    await timers.fire(2_000)
    const ended = await Promise.all(waiting)
    expect(new Set(ended.map(({ result }) => result))).toEqual(new Set(['kept']))
  })

  test('may still take what is on its way when the gateway closes, for two seconds', async () => {
    const on = Promise.withResolvers<() => void>()
    receiver.answers.push((res) => on.resolve(() => void res.writeHead(204).end()))
    const ended = webhook.send(MESSAGE)
    const answer = await on.promise
    webhook.close()
    answer()
    expect(await ended).toEqual({ result: 'delivered', attempts: 1 })
    receiver.answers.push(() => on.resolve(() => undefined))
    const hanging = new Webhook({ target: () => target, clock: { now: () => NOW }, timers })
    const late = hanging.send(MESSAGE)
    await expect.poll(() => receiver.received.length).toBe(2)
    hanging.close()
    await timers.fire(2_000)
    await timers.fire(2_000)
    expect(await late).toEqual({ result: 'kept', attempts: 1, why: 'not reached' })
  })

  test('ends its waits when the gateway closes', async () => {
    receiver.answers.push(status(500))
    const ended = webhook.send(MESSAGE)
    await timers.armed(1_000)
    webhook.close()
    expect(await ended).toEqual({ result: 'kept', attempts: 1, why: 'status 500' })
  })
})
