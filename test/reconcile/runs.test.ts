import { expect, test } from 'vitest'
import { newChargeId } from '../../src/core/ids.ts'
import { TollwayError } from '../../src/core/errors.ts'
import type { TollwayEvent } from '../../src/core/telemetry/events.ts'
import { ChainError, type ChainReader } from '../../src/io/chain/chain.ts'
import { Ledger } from '../../src/io/ledger/ledger.ts'
import { NetworkRun, type ChainWatch } from '../../src/io/reconcile/network-run.ts'
import { Reconciler } from '../../src/io/reconcile/reconciler.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import type { Store } from '../../src/io/store/store.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { instance, NOW, signed, terms } from '../store/samples.ts'

const INTERVAL = 60_000
const SECONDS = NOW / 1000

/** A store with so many uncertain charges, and their ids in order. */
async function uncertainCharges(count: number): Promise<{ store: Store; ids: string[] }> {
  const store = memoryStore()
  await store.register(instance('ins_one'))
  const ids: string[] = []
  for (let n = 0; n < count; n += 1) {
    const id = newChargeId(NOW + n, (bytes) => new Uint8Array(bytes))
    await store.reserve(terms(n, { id, reservedAt: NOW }), [], false)
    await store.authorize(id, signed(n), NOW)
    await store.move(id, { to: 'uncertain', at: NOW, reason: 'timeout' })
    ids.push(id)
  }
  return { store, ids }
}

/** A chain whose final block is ten seconds after the charges, or later, with every nonce unused. */
function quietChain(changes: Partial<ChainReader> = {}, age = 10): ChainReader {
  const block = { number: 100n, timestamp: SECONDS + age, hash: '0xa' }
  const unasked = (): never => {
    throw new ChainError('bad_answer')
  }
  return {
    network: 'eip155:84532',
    finality: 'finalized',
    chainId: async () => 84_532,
    finalBlock: async () => block,
    newest: async () => 200n,
    block: async () => block,
    authorizationState: async () => false,
    nonceBitmap: unasked,
    logs: async () => [],
    receipt: unasked,
    input: unasked,
    close: () => undefined,
    ...changes,
  }
}

async function reconcilerFor(store: Store, chains: readonly ChainReader[]) {
  const events: TollwayEvent[] = []
  const failures: unknown[] = []
  const timers = new ManualTimers()
  const observers = [(event: TollwayEvent) => events.push(event)]
  const ledger = await Ledger.open({
    store,
    audit: { append: async () => undefined, close: async () => undefined },
    clock: { now: () => NOW + 3_600_000 },
    random: (count) => new Uint8Array(count),
    instance: instance(`ins_${crypto.randomUUID()}`),
    observers,
  })
  const onFailure = (error: unknown): number => failures.push(error)
  const reconciler = new Reconciler({ ledger, chains, timers, intervalMs: INTERVAL, observers, onFailure })
  return { reconciler, ledger, timers, events, failures }
}

/** A chain that decides nothing yet; `asked` are the charges that it was asked about. */
function undecidedChain(): { asked: string[]; watch: ChainWatch } {
  const asked: string[] = []
  const watch: ChainWatch = {
    network: terms(1).network,
    look: async () => ({
      block: 1n,
      decide: async ({ id }) => {
        asked.push(id)
        return { decision: { action: 'wait', reason: 'still_valid' }, trouble: undefined }
      },
    }),
    close: () => undefined,
  }
  return { asked, watch }
}

test('checks a bounded number of charges per timer run, oldest first, and continues there in the next run', async () => {
  const { store, ids } = await uncertainCharges(1101)
  const asked: string[] = []
  const nonces = new Map(
    (await store.unproven({ network: 'eip155:84532', limit: 1000 })).map(({ id, authorization }) => [
      authorization?.nonce ?? '',
      id,
    ]),
  )
  for (const charge of await store.unproven({
    network: 'eip155:84532',
    limit: 1000,
    after: ids[999] ?? '',
  })) {
    nonces.set(charge.authorization?.nonce ?? '', charge.id)
  }
  const chain = quietChain({
    authorizationState: async (_asset, _from, nonce) => {
      asked.push(nonces.get(nonce) ?? nonce)
      return false
    },
  })
  const { reconciler } = await reconcilerFor(store, [chain])
  const looked = async (): Promise<string[]> => {
    asked.length = 0
    await reconciler.run()
    return [...asked]
  }
  expect(await looked()).toEqual(ids.slice(0, 500))
  expect(await looked()).toEqual(ids.slice(500, 1000))
  expect(await looked()).toEqual(ids.slice(1000))
  expect(await looked()).toEqual(ids.slice(0, 500))
  asked.length = 0
  await reconciler.run({ all: true })
  expect(asked).toEqual(ids)
})

test('looks first at payments of which the seller named the transaction, and never only at those', async () => {
  const { store, ids } = await uncertainCharges(40)
  const claimed: string[] = []
  for (let n = 100; n < 120; n += 1) {
    const id = newChargeId(NOW + n, (bytes) => new Uint8Array(bytes))
    await store.reserve(terms(n, { id, reservedAt: NOW }), [], false)
    await store.authorize(id, signed(n), NOW)
    const transaction = `0x${n.toString(16).padStart(64, '0')}`
    await store.move(id, { to: 'uncertain', at: NOW, reason: 'settlement_pending', transaction })
    claimed.push(id)
  }
  const { asked, watch } = undecidedChain()
  const { ledger } = await reconcilerFor(store, [])
  const run = new NetworkRun(watch, ledger, () => true)
  await run.run(30, () => undefined)
  expect(asked).toEqual([...claimed.slice(0, 15), ...ids.slice(0, 15)])
  asked.length = 0
  const report = await run.run(Number.POSITIVE_INFINITY, () => undefined)
  expect(asked).toEqual([...claimed, ...ids])
  expect(report.looked).toBe(60)
})

test.each([
  [3_600, 'is not ahead', 0],
  [3_600 + 90, 'is ahead of our clock', 90],
])(
  'reads the clock of a network off its final block: %i s after the charges it %s',
  async (age, _what, seconds) => {
    const { store } = await uncertainCharges(1)
    const { reconciler, events } = await reconcilerFor(store, [quietChain({}, age)])
    await reconciler.run()
    expect(events).toContainEqual({ type: 'clock_skew', source: 'eip155:84532', seconds })
  },
)

test('sends no query for charges that are later than the final block', async () => {
  const { store } = await uncertainCharges(3)
  let asked = 0
  const chain = quietChain({ authorizationState: async () => (asked += 1) < 0 }, -1)
  const { reconciler } = await reconcilerFor(store, [chain])
  expect((await reconciler.run()).networks).toMatchObject([{ ok: true, looked: 3 }])
  expect(asked).toBe(0)
})

test('moves each payment once when two processes check at the same time', async () => {
  const { store, ids } = await uncertainCharges(20)
  const past = quietChain({}, 3600)
  const one = await reconcilerFor(store, [past])
  const two = await reconcilerFor(store, [past])
  const reports = await Promise.all([one.reconciler.run({ all: true }), two.reconciler.run({ all: true })])
  const booked = reports.flatMap(({ changed }) => changed.map(({ after }) => after.id))
  expect(booked.toSorted()).toEqual(ids)
  expect((await store.charges({ states: ['released'] })).length).toBe(20)
  const events = [...one.events, ...two.events].filter((event) => event.type === 'charge')
  expect(events).toHaveLength(20)
})

test('runs at start and then on the timer, one at a time, until it is closed', async () => {
  const { store } = await uncertainCharges(1)
  const gate = Promise.withResolvers<bigint>()
  let runs = 0
  const chain = quietChain({
    newest: async () => {
      runs += 1
      return runs === 1 ? await gate.promise : 200n
    },
  })
  const { reconciler, timers, events } = await reconcilerFor(store, [chain])
  reconciler.start()
  const second = reconciler.run()
  expect(timers.size).toBe(0)
  gate.resolve(200n)
  await second
  expect(runs).toBe(2)
  await timers.fire(INTERVAL)
  await timers.armed(INTERVAL)
  expect(runs).toBe(3)
  expect(events.filter(({ type }) => type === 'reconciled')).toEqual([
    { type: 'reconciled', result: 'done' },
    { type: 'reconciled', result: 'done' },
    { type: 'reconciled', result: 'done' },
  ])
  await reconciler.close()
  expect(timers.size).toBe(0)
})

test('goes on after a second while more charges wait than one run looks at, and rests once all were looked at', async () => {
  const { store } = await uncertainCharges(1100)
  const { reconciler, timers, events } = await reconcilerFor(store, [quietChain()])
  reconciler.start()
  await timers.armed(1000)
  await timers.fire(1000)
  await timers.armed(1000)
  await timers.fire(1000)
  await timers.armed(INTERVAL)
  expect(events.filter(({ type }) => type === 'reconciled')).toHaveLength(3)
  await reconciler.close()
})

test('does not hurry a node that gives no usable answer', async () => {
  const { store } = await uncertainCharges(600)
  const chain = quietChain({ authorizationState: () => Promise.reject(new ChainError('timeout')) })
  const { reconciler, timers } = await reconcilerFor(store, [chain])
  reconciler.start()
  await timers.armed(INTERVAL)
  await reconciler.close()
})

test('looks at uncertain payments before merely unproven ones, of which some of every run are', async () => {
  const { store, ids } = await uncertainCharges(30)
  const settled: string[] = []
  for (let n = 50; n < 60; n += 1) {
    // Before the uncertain ones in the order of ids.
    const id = newChargeId(NOW - 1000 + n, (bytes) => new Uint8Array(bytes))
    await store.reserve(terms(n, { id, reservedAt: NOW }), [], false)
    await store.authorize(id, signed(n), NOW)
    await store.move(id, { to: 'settled', at: NOW, reason: 'receipt', proof: 'receipt' })
    settled.push(id)
  }
  const { asked, watch } = undecidedChain()
  const { ledger } = await reconcilerFor(store, [])
  const run = new NetworkRun(watch, ledger, () => true)
  expect(await run.run(20, () => undefined)).toMatchObject({ looked: 20, more: true })
  expect(asked).toEqual([...ids.slice(0, 16), ...settled.slice(0, 4)])
  asked.length = 0
  expect(await run.run(21, () => undefined)).toMatchObject({ looked: 20, more: false })
  expect(asked).toEqual([...ids.slice(16), ...settled.slice(4)])
})

test('reports a run that the ledger ended, and finishes it with the next run', async () => {
  const { store, ids } = await uncertainCharges(8)
  const refused = new TollwayError({ code: 'store_unavailable', message: 'the disk is full' })
  let writable = false
  const failing: Store = Object.create(store) as Store
  for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(store)) as (keyof Store)[]) {
    const method = store[name]
    if (typeof method === 'function') Object.assign(failing, { [name]: method.bind(store) })
  }
  failing.move = async (id, move) => {
    if (writable) return await store.move(id, move)
    throw refused
  }
  const { reconciler, timers, events, failures } = await reconcilerFor(failing, [quietChain({}, 3600)])
  reconciler.start()
  await timers.armed(INTERVAL)
  expect(failures).toEqual([refused])
  expect(events.at(-1)).toEqual({ type: 'reconciled', result: 'failed' })
  expect(await store.charges({ states: ['uncertain'] })).toHaveLength(8)
  writable = true
  await timers.fire(INTERVAL)
  await timers.armed(INTERVAL)
  expect((await store.charges({ states: ['released'] })).map(({ id }) => id).toSorted()).toEqual(ids)
  await reconciler.close()
})

test('ends a run that waits for a node on closing, without judging the node or moving a charge', async () => {
  const { store } = await uncertainCharges(1)
  const hanging = Promise.withResolvers<boolean>()
  const asking = Promise.withResolvers<void>()
  const chain = quietChain(
    {
      authorizationState: async () => {
        asking.resolve()
        return await hanging.promise
      },
      close: () => hanging.reject(new ChainError('unreachable')),
    },
    3600,
  )
  const { reconciler, events } = await reconcilerFor(store, [chain])
  const run = reconciler.run()
  await asking.promise
  await reconciler.close()
  expect((await run).changed).toEqual([])
  expect(events.filter(({ type }) => type === 'chain')).toEqual([])
  expect(await store.charges({ states: ['uncertain'] })).toHaveLength(1)
})
