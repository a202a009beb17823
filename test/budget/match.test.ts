import { describe, expect, test } from 'vitest'
import { claimsFor, type BudgetRule, type Spend } from '../../src/core/budget/budget.ts'
import type { BudgetMatch, MatchKey } from '../../src/core/budget/budget-match.ts'
import {
  callerRules,
  parseCallerBudget,
  withCallerRules,
  type CallerBudget,
} from '../../src/core/budget/caller-budgets.ts'
import { parseScope, type Scope } from '../../src/core/budget/scope.ts'
import { limitFor } from '../../src/core/budget/subject-limits.ts'

const NOW = Date.parse('2026-11-30T10:00:00.000Z')

const SPEND: Spend = {
  caller: 'ci',
  team: 'search',
  model: 'best',
  publicModel: 'paid/opus-4',
  remoteModel: 'anthropic/opus-4',
  route: 'paid/*',
  payer: 'base',
  seller: 'https://seller.example.com',
  tags: ['agent:main', 'session:s1', 'blue'],
  symbol: 'USDC',
  amount: 7n,
  microUsd: 7n,
}

function rule(changes: Partial<BudgetRule> = {}): BudgetRule {
  return { name: 'b', limit: 100n, window: 'day', timezone: 'UTC', ...changes }
}

function matches(match: Partial<Record<MatchKey, readonly string[]>>, spend: Spend = SPEND): boolean {
  const entries = Object.entries(match) as [MatchKey, readonly string[]][]
  const found: BudgetMatch = new Map(entries)
  return claimsFor([rule({ match: found })], spend, NOW).length === 1
}

describe('match', () => {
  test('each key compares with its own part of the request, by name, pattern or list', () => {
    expect(matches({ caller: ['ci'] })).toBe(true)
    expect(matches({ caller: ['prod', 'c*'] })).toBe(true)
    expect(matches({ caller: ['prod'] })).toBe(false)
    expect(matches({ team: ['search'] })).toBe(true)
    expect(matches({ route: ['paid/*'] })).toBe(true)
    expect(matches({ route: ['free/*'] })).toBe(false)
    expect(matches({ payer: ['base'] })).toBe(true)
    expect(matches({ tag: ['blue'] })).toBe(true)
    expect(matches({ 'tag.agent': ['ma*'] })).toBe(true)
    expect(matches({ 'tag.agent': ['s1'] })).toBe(false)
    expect(matches({ 'tag.session': ['*'] })).toBe(true)
    expect(matches({ 'tag.none': ['*'] })).toBe(false)
  })

  test('a seller is its origin or its host', () => {
    expect(matches({ seller: ['https://seller.example.com'] })).toBe(true)
    expect(matches({ seller: ['*.example.com'] })).toBe(true)
    expect(matches({ seller: ['example.com'] })).toBe(false)
  })

  test('a model is any of its names: an alias or a fallback is no way around', () => {
    expect(matches({ model: ['best'] })).toBe(true)
    expect(matches({ model: ['paid/opus*'] })).toBe(true)
    expect(matches({ model: ['anthropic/*'] })).toBe(true)
    expect(matches({ model: ['paid/haiku'] })).toBe(false)
  })

  test('a model in another spelling is the same: sellers take it for the one they have', () => {
    for (const model of [
      'paid/OPUS-4',
      'paid/Opus-4',
      'paid/ｏｐｕｓ-4',
      ' paid/opus-4',
      'paid/o\u200bpus-4',
    ]) {
      const spend = { ...SPEND, model, publicModel: model, remoteModel: model }
      expect(matches({ model: ['paid/opus*'] }, spend)).toBe(true)
      expect(matches({ model: ['Paid/Opus-4'] }, spend)).toBe(true)
      expect(matches({ model: ['paid/haiku*'] }, spend)).toBe(false)
    }
  })

  test('every other name is compared as it is written: two callers may differ in case alone', () => {
    expect(matches({ caller: ['CI'] })).toBe(false)
    expect(matches({ 'tag.agent': ['Main'] })).toBe(false)
  })

  test('every key must match, and without a value nothing does but a rule without match', () => {
    expect(matches({ caller: ['ci'], route: ['paid/*'] })).toBe(true)
    expect(matches({ caller: ['ci'], route: ['free'] })).toBe(false)
    const { team: _team, ...alone } = SPEND
    expect(matches({ team: ['*'] }, alone)).toBe(false)
    expect(claimsFor([rule()], alone, NOW)).toHaveLength(1)
  })
})

describe('limits per subject', () => {
  const limits = [
    { subject: 'ci', limit: 1n },
    { subject: 'prod-*', limit: 20n },
    { subject: 'prod-eu-*', limit: 30n },
  ]
  const limit = (caller: string, namedOnly = false): bigint | undefined =>
    claimsFor([rule({ per: 'caller', limits, namedOnly, limit: 5n })], { ...SPEND, caller }, NOW)[0]?.limit

  test('a name beats a pattern, the longer pattern the shorter, and the default is for all others', () => {
    expect(limit('ci')).toBe(1n)
    expect(limit('prod-1')).toBe(20n)
    expect(limit('prod-eu-1')).toBe(30n)
    expect(limit('prod-')).toBe(5n)
    expect(limit('other')).toBe(5n)
  })

  test('without a default others are neither limited nor counted', () => {
    expect(limit('ci', true)).toBe(1n)
    expect(limit('other', true)).toBeUndefined()
  })

  test('of two patterns of one length the lower limit holds, in either order', () => {
    const pair = [
      { subject: 'a*', limit: 9n },
      { subject: '*b', limit: 4n },
    ]
    expect(limitFor({ limits: pair }, 'axb')).toBe(4n)
    expect(limitFor({ limits: pair.toReversed() }, 'axb')).toBe(4n)
  })

  test('a tag of one kind and a team are subjects; what has none shares other', () => {
    const subjects = (per: Scope, spend: Spend = SPEND): string[] =>
      claimsFor([rule({ per })], spend, NOW).map(({ subject }) => subject)
    expect(subjects('team')).toEqual(['search'])
    expect(subjects('tag.session')).toEqual(['s1'])
    expect(subjects('tag.session', { ...SPEND, tags: ['session:a', 'session:b'] })).toEqual(['a', 'b'])
    expect(subjects('tag.session', { ...SPEND, tags: ['agent:x'] })).toEqual(['other'])
    expect(subjects('team', { ...SPEND, team: undefined })).toEqual(['other'])
  })

  test('tokens count the most a request may use, requests count one each', () => {
    const tokens = rule({ asset: { symbol: 'tokens', decimals: 0, counts: 'tokens' } })
    const requests = rule({ asset: { symbol: 'requests', decimals: 0, counts: 'requests' } })
    const spend = { ...SPEND, microUsd: undefined, tokens: 900n }
    expect(claimsFor([tokens, requests], spend, NOW).map(({ amount }) => amount)).toEqual([900n, 1n])
    expect(claimsFor([tokens], SPEND, NOW).map(({ amount }) => amount)).toEqual([0n])
  })
})

describe('budgets of callers', () => {
  const read = (text: string): CallerBudget | undefined => parseCallerBudget(text)

  test('are USD and a window', () => {
    expect(read('5/day')).toEqual({ limit: 5_000_000n, window: 'day' })
    expect(read('0.50/24h')).toEqual({ limit: 500_000n, window: 'rolling', lengthMs: 86_400_000 })
    for (const text of ['5', '5/', '/day', '5/days', '-5/day', '5/day/x', '1e3/day', '5 / day', '']) {
      expect(read(text), text).toBeUndefined()
    }
  })

  test('form one rule per window, in which nobody else counts', () => {
    const rules = callerRules([
      { id: 'ci', budgets: [{ limit: 1n, window: 'day' }] },
      {
        id: 'prod',
        budgets: [
          { limit: 9n, window: 'day' },
          { limit: 50n, window: 'month' },
        ],
      },
      { id: 'free' },
    ])
    expect(rules.map(({ name }) => name)).toEqual(['callers.day', 'callers.month'])
    const of = (caller: string) =>
      claimsFor(rules, { ...SPEND, caller }, NOW).map(({ budget, limit }) => [budget, limit])
    expect(of('ci')).toEqual([['callers.day', 1n]])
    expect(of('prod')).toEqual([
      ['callers.day', 9n],
      ['callers.month', 50n],
    ])
    expect(of('free')).toEqual([])
  })

  test('of keys join those of the file', () => {
    const file = callerRules([{ id: 'ci', budgets: [{ limit: 1n, window: 'day' }] }])
    const keys = callerRules([{ id: 'dev', budgets: [{ limit: 2n, window: 'day' }] }])
    const [joined, ...none] = withCallerRules(file, keys)
    expect(none).toEqual([])
    expect(joined?.limits).toEqual([
      { subject: 'ci', limit: 1n },
      { subject: 'dev', limit: 2n },
    ])
    expect(withCallerRules([], keys)).toEqual(keys)
  })
})

test('scopes are known names or one kind of tags', () => {
  expect(parseScope('team')).toBe('team')
  expect(parseScope('tag.session')).toBe('tag.session')
  for (const text of ['tags', 'tag.', 'tag.a b', 'route', '', 'constructor']) {
    expect(parseScope(text), text).toBeUndefined()
  }
})
