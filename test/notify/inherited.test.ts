/** What a process leaves that was killed: a call that waited for approval, and messages that were not delivered. */
import { describe, expect, test } from 'vitest'
import { Approvals } from '../../src/app/approvals/approvals.ts'
import { inheritNotices } from '../../src/app/wiring/inherit-notices.ts'
import { Notifier, type NotificationContent } from '../../src/app/notify/notifier.ts'
import { silentLog } from '../../src/core/log.ts'
import type { TollwayEvent } from '../../src/core/telemetry/events.ts'
import type { Store } from '../../src/io/store/store.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { startWebhookReceiver, status, WEBHOOK_SECRET } from '../kit/webhook-receiver.ts'
import { onEachStore } from '../store/each-store.ts'
import { instance } from '../store/samples.ts'

const WAITS = [1_000, 5_000, 15_000, 60_000, 120_000, 300_000, 600_000]
const CALL = {
  requestId: 'req-1',
  caller: 'ci',
  route: 'paid/*',
  model: 'paid/x',
  remoteModel: 'x',
  payer: 'base',
  seller: 'https://seller.example.com',
  microUsd: 3_000_000n,
}
const LEVEL: NotificationContent = {
  type: 'budget.level',
  at: 5,
  text: 'half is used',
  data: { budget: 'all', level: '0.5' },
}

/** A gateway process on a store, without the rest of a gateway. */
async function start(store: Store, id: string, url: string | undefined) {
  await store.register(instance(id))
  const notes: { readonly type: string; readonly fields: Readonly<Record<string, unknown>> }[] = []
  const events: TollwayEvent[] = []
  const timers = new ManualTimers()
  const clock = { time: 1_000, now: () => clock.time }
  const ledger = {
    instance: id,
    store,
    note: async (type: string, fields: Readonly<Record<string, unknown>>) =>
      void notes.push({ type, fields }),
  }
  const context = {
    ledger,
    observers: [(event: TollwayEvent) => events.push(event)],
    clock,
    timers,
    log: silentLog,
  }
  const target = url === undefined ? undefined : { url, secret: WEBHOOK_SECRET }
  const notifier = new Notifier({ ...context, target: () => target })
  const approvals = new Approvals({
    ...context,
    notifier,
    rules: () => ({ aboveMicroUsd: 1n, waitMs: 300_000 }),
    page: () => 'http://127.0.0.1:8402/dashboard',
    random: (count) => crypto.getRandomValues(new Uint8Array(count)),
  })
  return {
    approvals,
    notifier,
    notes,
    events,
    timers,
    clock,
    inherit: async () => await inheritNotices({ ledger, approvals, notifier }),
    ask: async () =>
      await approvals.ask(CALL, new AbortController().signal).then(
        () => 'approved',
        (error: unknown) => String(error),
      ),
    waiting: async () => {
      await expect.poll(() => approvals.list().length).toBe(1)
      const [{ id: approval } = { id: '' }] = approvals.list()
      // Its place is there first; a crash before the ledger knows it leaves nothing to tell.
      await expect.poll(() => store.notices.find(approval)).toBeDefined()
      return approval
    },
  }
}

onEachStore('what a killed process leaves', (current) => {
  test('rule 3: a call that waited was refused, which audit file, metrics and the next decision tell, once', async () => {
    const store = current()
    const killed = await start(store, 'ins_1', undefined)
    void killed.ask()
    const id = await killed.waiting()
    const next = await start(store, 'ins_2', undefined)
    await next.inherit()
    expect(next.notes).toEqual([])
    await expect(next.approvals.decide(id, 'approved')).rejects.toThrow(
      `No call waits for approval under ${id}: it waits at another gateway on this ledger (ins_1), which has to be asked (--url). Nothing was changed.`,
    )
    await store.retire('ins_1', 2_000, 'instance_dead')
    await next.inherit()
    await next.inherit()
    expect(next.notes).toMatchObject([
      { type: 'approval.lost', fields: { approval: id, caller: 'ci', max_usd: '3', request: 'req-1' } },
    ])
    expect(next.events).toEqual([{ type: 'approval', result: 'lost' }])
    expect(next.approvals.list()).toEqual([])
    expect(await next.approvals.ended(5)).toMatchObject([{ id, result: 'lost', endedAt: 1_000 }])
    await expect(next.approvals.decide(id, 'approved')).rejects.toThrow(
      'its gateway was killed, which refused it; nothing was signed at 1970-01-01T00:00:01.000Z. Nothing was changed.',
    )
  })

  test('rule 10: a call whose gateway was taken for dead is refused there, whoever approves it', async () => {
    const store = current()
    const slow = await start(store, 'ins_1', undefined)
    const answer = slow.ask()
    const id = await slow.waiting()
    await store.retire('ins_1', 2_000, 'instance_dead')
    await (await start(store, 'ins_2', undefined)).inherit()
    await expect(slow.approvals.decide(id, 'approved')).rejects.toThrow('No call waits for approval')
    expect(await answer).toContain('another process took this gateway for dead. No payment was sent.')
  })

  test('one call is decided once: of decisions at once the first counts, and no other is told that it was taken', async () => {
    const gateway = await start(current(), 'ins_1', undefined)
    const answer = gateway.ask()
    const id = await gateway.waiting()
    const decided = await Promise.allSettled([
      gateway.approvals.decide(id, 'approved'),
      gateway.approvals.decide(id, 'refused'),
      gateway.approvals.decide(id, 'approved'),
    ])
    expect(decided.map(({ status: end }) => end)).toEqual(['fulfilled', 'rejected', 'rejected'])
    expect(await answer).toBe('approved')
    await expect(gateway.approvals.decide(id, 'refused')).rejects.toThrow(
      `under ${id}: it was approved at 1970`,
    )
    await expect(gateway.approvals.decide('apr_none', 'approved')).rejects.toThrow(
      'there is none of that name',
    )
  })

  test('an approval after the time is over is none, even where the timer is late', async () => {
    const gateway = await start(current(), 'ins_1', undefined)
    const answer = gateway.ask()
    const id = await gateway.waiting()
    gateway.clock.time += 300_000
    await expect(gateway.approvals.decide(id, 'approved')).rejects.toThrow('its time is over')
    expect(await answer).toContain('no person approved it in time. No payment was sent.')
  })

  describe('a message', () => {
    test('goes on at the next start with the attempts that are left, and never more than eight', async () => {
      const store = current()
      const receiver = await startWebhookReceiver()
      receiver.answers.push(...Array.from({ length: 20 }, () => status(500)))
      const killed = await start(store, 'ins_1', receiver.url)
      await killed.notifier.send('budget', 'msg_1', LEVEL)
      for (const wait of WAITS.slice(0, 2)) await killed.timers.fire(wait)
      await expect.poll(() => receiver.received.length).toBe(3)
      await store.retire('ins_1', 2_000, 'instance_dead')
      const next = await start(store, 'ins_2', receiver.url)
      await next.inherit()
      for (const wait of WAITS.slice(3)) await next.timers.fire(wait)
      await expect.poll(() => next.notes.length).toBe(1)
      expect(next.notes).toMatchObject([
        {
          type: 'notify.failed',
          fields: { message: 'msg_1', attempts: 8, why: 'status 500', budget: 'all' },
        },
      ])
      expect(receiver.received.map(({ id }) => id)).toEqual(Array(8).fill('msg_1'))
      await store.retire('ins_2', 3_000, 'instance_dead')
      const third = await start(store, 'ins_3', receiver.url)
      await third.inherit()
      expect(await store.notices.list({ kind: 'message', state: 'open' })).toEqual([])
      expect(receiver.received).toHaveLength(8)
      await receiver.close()
    })

    test('that was delivered is not sent again, and says the same as the first time when it was not', async () => {
      const store = current()
      const receiver = await startWebhookReceiver()
      receiver.answers.push(status(204), status(500))
      const killed = await start(store, 'ins_1', receiver.url)
      await killed.notifier.send('budget', 'msg_1', LEVEL)
      await expect.poll(() => killed.notes.length).toBe(1)
      await killed.notifier.send('budget', 'msg_2', LEVEL)
      await expect.poll(() => receiver.received.length).toBe(2)
      await store.retire('ins_1', 2_000, 'instance_dead')
      const next = await start(store, 'ins_2', receiver.url)
      await next.inherit()
      await expect.poll(() => next.notes.length).toBe(1)
      expect(receiver.received.map(({ id }) => id)).toEqual(['msg_1', 'msg_2', 'msg_2'])
      expect(receiver.received[2]?.body).toEqual(receiver.received[1]?.body)
      expect(receiver.received[2]?.isSigned).toBe(true)
      await receiver.close()
    })

    test('without a webhook at the next start has failed, and so has one that every attempt was begun for', async () => {
      const store = current()
      const killed = await start(store, 'ins_1', 'http://127.0.0.1:9/hook')
      await killed.notifier.send('budget', 'msg_1', LEVEL)
      await store.retire('ins_1', 2_000, 'instance_dead')
      const without = await start(store, 'ins_2', undefined)
      await without.inherit()
      expect(without.notes).toMatchObject([{ type: 'notify.failed', fields: { why: 'notify was removed' } }])
      const kept = JSON.stringify({ kind: 'budget', type: 'budget.level', data: {}, body: '{}' })
      await store.notices.add({ id: 'msg_2', kind: 'message', instance: 'ins_1', at: 1, body: kept })
      for (let n = 0; n < 8; n += 1) await store.notices.attempt('msg_2')
      const next = await start(store, 'ins_3', 'http://127.0.0.1:9/hook')
      await next.inherit()
      await expect.poll(() => next.notes.length).toBe(1)
      expect(next.notes).toMatchObject([
        { type: 'notify.failed', fields: { message: 'msg_2', attempts: 8, why: 'the process ended' } },
      ])
    })

    test('that says what is told already is neither kept nor delivered', async () => {
      const store = current()
      const { notifier, notes } = await start(store, 'ins_1', 'http://127.0.0.1:9/hook')
      await notifier.send('budget', 'msg_1', LEVEL, async () => false)
      await expect(
        notifier.send('budget', 'msg_2', LEVEL, async () => {
          throw new Error('the store is full')
        }),
      ).rejects.toThrow('the store is full')
      expect(await store.notices.list({ kind: 'message', state: 'open' })).toEqual([])
      expect(notes).toEqual([])
    })
  })
})
