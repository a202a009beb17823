/** `tollway report` over a ledger with payments in every state. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import { claim, NOW, signed, terms } from '../store/samples.ts'
import { FakeTerminal } from './fake-terminal.ts'

let directory: string
const file = (name: string): string => join(directory, name)

async function report(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const terminal = new FakeTerminal()
  const code = await run(['report', ...args, '--config', file('tollway.yaml')], terminal)
  return { code, out: terminal.out, err: terminal.err }
}

const NOVEMBER = ['--from', '2026-11-01', '--to', '2026-11-30'] as const

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'tollway-report-'))
  writeFileSync(file('tollway.yaml'), 'store: sqlite:./tollway.db\n')
  writeFileSync(
    file('stricter.yaml'),
    'store: memory\npolicy: { max_usd_per_request: "0.02" }\nbudgets: [{ name: tiny, limit_usd: "0.01", window: day }]\n',
  )
  const store = openSqliteStore({ path: file('tollway.db') })
  const pay = async (
    n: number,
    to: 'settled' | 'uncertain' | 'released',
    changes: Parameters<typeof terms>[1],
  ) => {
    await store.reserve(terms(n, changes), [claim(1n, 10n ** 9n)], false)
    await store.authorize(terms(n).id, signed(n, { scheme: 'upto' }), NOW + n)
    const proof = to === 'settled' ? ({ proof: 'receipt' } as const) : {}
    await store.move(terms(n).id, { to, at: NOW + n + 10, reason: 'why', ...proof })
  }
  const sum = (microUsd: bigint) => ({ amount: microUsd, microUsd })
  await pay(1, 'settled', sum(5000n))
  await pay(2, 'settled', { ...sum(6000n), caller: '=cmd', route: 'other/*' })
  await pay(3, 'uncertain', sum(1001n))
  await pay(4, 'released', sum(9000n))
  await pay(5, 'settled', sum(23_000n))
  await pay(6, 'settled', { ...sum(1n), reservedAt: Date.parse('2026-10-31T23:30:00Z') })
  await store.move(terms(5).id, {
    to: 'settled',
    at: NOW,
    reason: 'chain_used',
    proof: 'chain',
    charged: 20_000n,
  })
  await store.flag(terms(2).id, { flag: 'receipt_reused', detail: 'the receipt is that of\nanother' }, NOW)
  await store.flag(terms(6).id, { flag: 'amount_mismatch', detail: 'another amount' }, NOW)
  await store.noteUsage(terms(1).id, { inputTokens: 1000, outputTokens: 30 })
  await store.noteUsage(terms(5).id, { inputTokens: 200, outputTokens: 4 })
  await store.close()
})

afterAll(() => rmSync(directory, { recursive: true }))

describe('tollway report', () => {
  test('prints a table for people, exact to the smallest unit', async () => {
    const { code, out } = await report(...NOVEMBER)
    expect(code).toBe(0)
    expect(out).toBe(`Spending from 2026-11-01 00:00 until 2026-12-01 00:00 (UTC)

ROUTE    ASSET  CHARGES  INPUT TOKENS  OUTPUT TOKENS  SPENT  SPENT USD  OPEN      OPEN USD  RELEASED
other/*  USDC   1        0             0              0.006  0.006      0         0         0
paid/*   USDC   3        1200          34             0.025  0.025      0.001001  0.001001  1
                4        1200          34                    0.031                0.001001  1

OPEN: in flight or with an unknown outcome; it counts as spent.

SPENT: for \`upto\` payments, the amount proven on chain; 0.034 USD were signed.
`)
  })

  test('a payment belongs to the month of the time zone it was reserved in', async () => {
    const [utc, berlin] = await Promise.all(
      ['UTC', 'Europe/Berlin'].map(async (zone) => {
        const { out } = await report('--by', 'month', '--from', '2026-10-01', '--timezone', zone, '--json')
        return (JSON.parse(out) as { rows: { month: string; charges: number; signed_usd: string }[] }).rows
      }),
    )
    expect(utc).toMatchObject([
      { month: '2026-10', charges: 1 },
      { month: '2026-11', charges: 4, spent_usd: '0.031', signed_usd: '0.034', input_tokens: 1200 },
    ])
    expect(berlin).toMatchObject([{ month: '2026-11', charges: 5 }])
  })

  test('lists the payments that need a look, in each format', async () => {
    const { out } = await report(...NOVEMBER, '--flags')
    const reasons = (text: string): string[] =>
      [...text.matchAll(/\b(receipt_reused|amount_mismatch|uncertain|no_receipt|maximum)\b/g)].map(
        ([word]) => word,
      )
    expect(reasons(out)).toEqual(['maximum', 'receipt_reused', 'maximum', 'uncertain'])
    expect(out).toContain('the receipt is that of\\u000aanother')
    const { flagged } = JSON.parse((await report(...NOVEMBER, '--flags', '--json')).out) as {
      flagged: { charge: string; reason: string; amount_atomic: string }[]
    }
    expect(flagged).toMatchObject([
      { charge: terms(1).id, reason: 'maximum', amount_atomic: '5000' },
      {
        charge: terms(2).id,
        reason: 'receipt_reused',
        amount_atomic: '6000',
        amount: '0.006',
        transaction: null,
      },
      { charge: terms(2).id, reason: 'maximum' },
      { charge: terms(3).id, reason: 'uncertain' },
    ])
    const csv = (await report(...NOVEMBER, '--flags', '--csv')).out
    expect(csv).toMatch(/^time,charge,reason,route,seller,amount,asset,transaction,detail\n/)
    const october = await report('--from', '2026-10-01', '--to', '2026-10-31', '--flags')
    expect(reasons(october.out)).toEqual(['amount_mismatch', 'maximum'])
    const none = await report('--from', '2026-09-01', '--to', '2026-09-30', '--flags')
    expect(none.out).toBe('No payment needs a look.\n')
  })

  test('prints CSV that no spreadsheet takes for a formula', async () => {
    const { out } = await report(...NOVEMBER, '--by', 'caller', '--csv')
    expect(out.split('\n')).toEqual([
      'caller,asset,charges,input_tokens,output_tokens,spent,spent_usd,open,open_usd,released,spent_atomic,open_atomic,signed_atomic,signed_usd',
      "'=cmd,USDC,1,0,0,0.006,0.006,0,0,0,6000,0,6000,0.006",
      'openclaw,USDC,3,1200,34,0.025,0.025,0.001001,0.001001,1,25000,1001,28000,0.028',
      '',
    ])
  })

  test('says what another configuration would have refused, in each format', async () => {
    const { code, out } = await report(...NOVEMBER, '--policy', file('stricter.yaml'))
    expect(code).toBe(0)
    expect(out).toContain('paid then                         4        0.032001')
    expect(out).toContain('still paid                        2        0.006001')
    expect(out).toContain('refused: price_above_limit        1        0.02')
    expect(out).toContain('refused: budget_exhausted (tiny)  1        0.006')
    expect(out).toContain('Assumed:')
    const json = JSON.parse(
      (await report(...NOVEMBER, '--policy', file('stricter.yaml'), '--json')).out,
    ) as object
    expect(json).toMatchObject({ allowed: { charges: 2, usd: '0.006001' }, assumptions: expect.any(Array) })
    const csv = (await report(...NOVEMBER, '--policy', file('stricter.yaml'), '--csv')).out
    expect(csv).toContain('refused,budget_exhausted,tiny,1,0.006\n')
  })

  test('refuses what it does not understand with 2', async () => {
    for (const args of [
      ['year'],
      ['--by', 'colour'],
      ['--timezone', 'Mars/Olympus'],
      ['--csv', '--json'],
      ['--back', '-1'],
    ]) {
      expect(await report(...args), args.join(' ')).toMatchObject({ code: 2, out: '' })
    }
    expect(await report('--from', 'x')).toMatchObject({ code: 2, err: expect.stringContaining('not a date') })
  })
})
