import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { ChainError } from '../../src/io/chain/chain.ts'
import type { WalletFunds, WalletReader } from '../../src/io/chain/wallet-reader.ts'
import { WalletWatch } from '../../src/io/chain/wallet-watch.ts'
import { ManualTimers } from '../kit/manual-timers.ts'

const TOKEN = `0x${'03'.repeat(20)}`
const enough =
  (amount: bigint) =>
  ({ balance }: WalletFunds): boolean =>
    balance >= amount

/** A node in memory: what counts here is when it is asked, not how. */
function node() {
  let waiting: (() => void)[] = []
  const state = { balance: 5000n, reads: 0, codes: 0, down: false, silent: false }
  const reader: WalletReader = {
    async funds() {
      state.reads += 1
      if (state.down) throw new ChainError('unreachable')
      if (state.silent) await new Promise<void>((resolve) => waiting.push(resolve))
      return { deployed: true, balance: state.balance, allowance: 0n }
    },
    code: async () => {
      state.codes += 1
      if (state.down) throw new ChainError('unreachable')
      return '0x'
    },
    coin: () => Promise.resolve(0n),
    permitNonce: () => Promise.resolve(3n),
    separator: () => Promise.resolve('0xAB'),
    close: () => undefined,
  }
  const answer = (): void => {
    for (const resolve of waiting) resolve()
    waiting = []
  }
  const clock = { at: 1_000_000, now: () => clock.at }
  const timers = new ManualTimers()
  const watch = new WalletWatch({ reader, owner: `0x${'aa'.repeat(20)}`, clock, timers })
  return { state, clock, timers, watch, answer }
}

describe('what is known of a wallet', () => {
  test('costs no round trip while it is fresh and suffices', async () => {
    const { state, clock, watch } = node()
    for (let call = 0; call < 10; call += 1) {
      clock.at += 100
      expect((await watch.funds(TOKEN, enough(1000n)))?.balance).toBe(5000n)
    }
    expect(state.reads).toBe(1)
  })

  test('includes the code at its address, read once for payments at the same time too', async () => {
    const { state, watch } = node()
    expect(await Promise.all([watch.code(), watch.code(), watch.code()])).toEqual(['0x', '0x', '0x'])
    expect(await watch.code()).toBe('0x')
    expect(state.codes).toBe(1)
  })

  test('includes the code at its address, which is read once, and asked again while the node was down', async () => {
    const { state, clock, watch } = node()
    state.down = true
    expect(await watch.code()).toBeUndefined()
    expect(await watch.code()).toBeUndefined()
    state.down = false
    clock.at += 60_000
    for (let call = 0; call < 3; call += 1) expect(await watch.code()).toBe('0x')
    expect(state.codes).toBe(2)
  })

  test('is read anew when a seller says that it is too little, whatever was signed', async () => {
    const { state, watch } = node()
    await watch.funds(TOKEN, enough(1000n))
    watch.sign('chg_1', TOKEN, 1000n)
    state.balance = 70n
    expect(await watch.balance(TOKEN)).toBe(70n)
    state.down = true
    expect(await watch.balance(TOKEN)).toBeUndefined()
  })

  test('stays bounded while the node is down for days, and keeps every payment in flight', async () => {
    const { state, clock, watch } = node()
    state.down = true
    watch.sign('stream', TOKEN, 700n)
    for (let payment = 0; payment < 1000; payment += 1) {
      watch.sign(`chg_${payment}`, TOKEN, 1000n)
      clock.at += 1000
      watch.closed(`chg_${payment}`)
    }
    expect(watch.unseen).toBeLessThanOrEqual(122)
    state.down = false
    clock.at += 1
    expect((await watch.funds(TOKEN, enough(1n)))?.balance).toBe(4300n)
    watch.closed('stream')
    clock.at += 61_000
    expect((await watch.funds(TOKEN, enough(1n)))?.balance).toBe(5000n)
    expect(watch.unseen).toBe(0)
  })

  test('is refreshed in the background once it is older', async () => {
    const { state, clock, watch } = node()
    await watch.funds(TOKEN, enough(1000n))
    clock.at += 10_000
    state.silent = true
    expect((await watch.funds(TOKEN, enough(1000n)))?.balance).toBe(5000n)
    expect(state.reads).toBe(2)
  })

  test('is less by what was signed since it was read, until a reading begins after the payment has ended', async () => {
    const { state, clock, watch } = node()
    await watch.funds(TOKEN, enough(1000n))
    watch.sign('chg_1', TOKEN, 4500n)
    clock.at += 1
    expect((await watch.funds(TOKEN, enough(1000n)))?.balance).toBe(500n)
    expect(state.reads).toBe(2)
    watch.closed('chg_1')
    state.balance = 500n
    clock.at += 1
    expect((await watch.funds(TOKEN, enough(1000n)))?.balance).toBe(500n)
    expect(state.reads).toBe(3)
    state.balance = 6000n
    clock.at += 10
    expect((await watch.funds(TOKEN, enough(1000n)))?.balance).toBe(6000n)
  })

  test('never refuses on an old reading: a wallet that was funded pays immediately', async () => {
    const { state, watch } = node()
    state.balance = 0n
    expect((await watch.funds(TOKEN, enough(1000n)))?.balance).toBe(0n)
    state.balance = 1000n
    expect((await watch.funds(TOKEN, enough(1000n)))?.balance).toBe(1000n)
  })

  test('shares one reading among concurrent requests', async () => {
    const { state, watch } = node()
    await Promise.all(Array.from({ length: 20 }, () => watch.funds(TOKEN, enough(1n))))
    expect(state.reads).toBe(1)
  })
})

describe('a node that does not answer', () => {
  test('refuses nothing: one that fails', async () => {
    const { state, watch } = node()
    state.down = true
    expect(await watch.funds(TOKEN, enough(1n))).toBeUndefined()
  })

  test('delays one request only, and is asked in the background for later ones', async () => {
    const { state, clock, timers, watch, answer } = node()
    state.silent = true
    const first = watch.funds(TOKEN, enough(1n))
    await timers.fire(2_000)
    expect(await first).toBeUndefined()
    // No timer moves here: this one did not wait.
    expect(await watch.funds(TOKEN, enough(1n))).toBeUndefined()
    state.silent = false
    answer()
    clock.at += 1
    await setImmediate()
    expect((await watch.funds(TOKEN, enough(1n)))?.balance).toBe(5000n)
  })
})

test("a token's separator is read once, in lower case", async () => {
  const { watch } = node()
  expect(await watch.separator(TOKEN)).toBe('0xab')
  expect(await watch.permitNonce(TOKEN)).toBe(3n)
})
