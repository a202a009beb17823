/** How many calls wait for a person, and what is asked where nobody reads a page: without gateway, ledger or network. */
import { expect, test } from 'vitest'
import { Approvals } from '../../src/app/approvals/approvals.ts'
import { approvePrice } from '../../src/app/mcp/approval.ts'
import type { CallToApprove } from '../../src/core/approval/approval.ts'
import { silentLog } from '../../src/core/log.ts'
import type { TollwayEvent } from '../../src/core/telemetry/events.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { ManualTimers } from '../kit/manual-timers.ts'

const CALL: CallToApprove = {
  requestId: 'req-1',
  caller: 'ci',
  route: 'paid/*',
  model: 'paid/x',
  remoteModel: 'x',
  payer: 'base',
  seller: 'https://seller.example.com',
  microUsd: 3_000_000n,
}

function open(aboveMicroUsd: bigint | undefined = 2_000_000n) {
  const events: TollwayEvent[] = []
  let serial = 0
  const rules = aboveMicroUsd === undefined ? undefined : { aboveMicroUsd, waitMs: 300_000 }
  const approvals = new Approvals({
    rules: () => rules,
    page: () => 'http://127.0.0.1:8402/dashboard',
    clock: { now: () => 0 },
    timers: new ManualTimers(),
    random: (count) =>
      Uint8Array.from({ length: count }, (_, at) => Math.floor(serial / 32 ** at)).fill(serial++ % 32, 7),
    ledger: { instance: 'ins_1', store: memoryStore(), note: async () => undefined },
    notifier: { send: async () => undefined },
    observers: [(event) => events.push(event)],
    log: silentLog,
  })
  const ask = async (signal = new AbortController().signal): Promise<string> =>
    await approvals.ask(CALL, signal).then(
      () => 'approved',
      (error: unknown) => String(error),
    )
  return { approvals, events, ask }
}

test('a hundred calls wait at once, the next is refused at once, and each leaves its place', async () => {
  const { approvals, events, ask } = open()
  const leaving = new AbortController()
  const all = Array.from({ length: 100 }, async () => await ask(leaving.signal))
  expect(approvals.list()).toHaveLength(100)
  expect(new Set(approvals.list().map(({ id }) => id)).size).toBe(100)
  expect(await ask()).toContain('100 calls wait already. No payment was sent.')
  leaving.abort(new Error('left'))
  expect(new Set(await Promise.all(all))).toEqual(new Set(['Error: left']))
  expect(approvals.list()).toEqual([])
  expect(events.filter((event) => event.type === 'approval' && event.result === 'full')).toHaveLength(1)
})

test.each([
  ['approved', 'refused'],
  ['refused', 'approved'],
  ['approved', 'approved'],
] as const)(
  'of two decisions in the same moment, %s and %s, only the first is confirmed',
  async (first, second) => {
    const { approvals, ask } = open()
    const outcome = ask()
    const [{ id } = { id: '' }] = approvals.list()
    const told = await Promise.allSettled([approvals.decide(id, first), approvals.decide(id, second)])
    expect(told.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    expect(await outcome).toContain(first === 'approved' ? 'approved' : 'a person refused it')
  },
)

test('a call that nobody can price in USD needs approval, and nothing does without a threshold', () => {
  expect(open().approvals.isNeeded(undefined)).toBe(true)
  expect(open().approvals.isNeeded(2_000_000n)).toBe(false)
  expect(open().approvals.isNeeded(2_000_001n)).toBe(true)
  expect(new Approvals({ ...open(), rules: () => undefined } as never).isNeeded(undefined)).toBe(false)
})

test('an agent asks the person at its client about a price above the threshold, or is refused', async () => {
  const questions: string[] = []
  const answering = (answer: boolean) =>
    approvePrice(async (question) => {
      questions.push(question)
      return answer
    })
  await answering(true)(CALL)
  await expect(answering(false)(CALL)).rejects.toMatchObject({ code: 'approval_refused' })
  await expect(approvePrice(undefined)(CALL)).rejects.toMatchObject({ code: 'approval_required' })
  expect(questions[0]).toBe('https://seller.example.com asks 3 USD, above policy.approve_above_usd. Pay it?')
})
