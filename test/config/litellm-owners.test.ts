/** Limits of LiteLLM's keys, users and teams are in its database; what its file says of them is told line by line, with lines to write here. */
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { parseConfig } from '../../src/app/config/load.ts'
import { formatNote } from '../../src/app/config/litellm/note.ts'

const ENV = { KEY: 'sk-upstream-key', CALLER: 'sk-caller-key' }
const LIMITS = { max_budget: 10, budget_duration: '30d', soft_budget: 8, tpm_limit: 1000, rpm_limit: 60 }
const model_list = [
  {
    model_name: 'm',
    litellm_params: { model: 'openai/m', api_base: 'http://127.0.0.1:1/v1', api_key: 'os.environ/KEY' },
  },
]

function notesOf(more: object): string[] {
  const { litellmNotes } = parseConfig({ model_list, ...more }, ENV)
  return litellmNotes.filter(({ kind }) => kind === 'limit_dropped').map(formatNote)
}

const FOR_CALLERS = [
  'max_budget: this limit (10) is not applied. Give callers budget_usd: [10/month], or run tollway keys add --budget-usd 10/month.',
  'budget_duration: this limit (30d) is not applied. It is the window of the budget beside it.',
  'soft_budget: this limit (8) is not applied. Set soft_usd: "8" on an entry of budgets with per: caller.',
  'tpm_limit: this limit (1000) is not applied. Set callers[].tokens_per_minute: 1000, or run tollway keys add --tokens-per-minute 1000.',
  'rpm_limit: this limit (60) is not applied. Set callers[].requests_per_minute: 60, or run tollway keys add --requests-per-minute 60.',
]
const FOR_TEAMS = [
  'max_budget: this limit (10) is not applied. Set callers[].team, and under budgets: { name: teams, per: team, limit_usd: "10", window: month }.',
  'budget_duration: this limit (30d) is not applied. It is the window of the budget beside it.',
  'soft_budget: this limit (8) is not applied. Set soft_usd: "8" on an entry of budgets with per: team.',
  'tpm_limit: this limit (1000) is not applied. Set callers[].team, and under budgets: { name: team-tokens, per: team, limit_tokens: 1000, window: 1m }.',
  'rpm_limit: this limit (60) is not applied. Set callers[].team, and under budgets: { name: team-requests, per: team, limit_requests: 60, window: 1m }.',
]

describe('every limit of a key, user or team is told on a line of its own', () => {
  test.each([
    ['default_key_generate_params', FOR_CALLERS],
    ['upperbound_key_generate_params', FOR_CALLERS],
    ['default_internal_user_params', FOR_CALLERS],
    ['default_team_params', FOR_TEAMS],
  ])('litellm_settings.%s', (section, lines) => {
    const told = notesOf({ litellm_settings: { [section]: LIMITS } })
    expect(told).toEqual(lines.map((line) => `litellm_settings.${section}.${line}`))
  })

  test('lists of keys, users and teams in an included or exported file', () => {
    const told = notesOf({
      litellm_settings: {},
      virtual_keys: [LIMITS],
      teams: [{ team_id: 'a', ...LIMITS }],
    })
    expect(told).toEqual([
      ...FOR_CALLERS.map((line) => `virtual_keys[0].${line}`),
      ...FOR_TEAMS.map((line) => `teams[0].${line}`),
    ])
  })

  test('single settings with the owner in their name', () => {
    const settings = {
      max_internal_user_budget: 5,
      internal_user_budget_duration: '1d',
      default_max_internal_user_budget: 0,
    }
    expect(notesOf({ litellm_settings: settings })).toEqual([
      'litellm_settings.max_internal_user_budget: this limit (5) is not applied. Give callers budget_usd with a window, such as [5/month], or run tollway keys add --budget-usd 5/month.',
      'litellm_settings.internal_user_budget_duration: this limit (1d) is not applied. It is the window of the budget beside it.',
      expect.stringContaining('default_max_internal_user_budget: this limit (0) is not applied.'),
    ])
  })

  test.each([
    ['text', { max_budget: 'os.environ/SECRET' }],
    ['a negative amount', { max_budget: -1 }],
    ['half a request', { rpm_limit: 0.5 }],
  ])('of %s too, with what to write in general and no value that may be a secret', (_name, limits) => {
    const [told = ''] = notesOf({ litellm_settings: { default_key_generate_params: limits } })
    expect(told).toMatch(
      / is not applied\. (?:Write it as an entry of budgets|Set callers\[\]\.requests_per_minute)/,
    )
    expect(told).not.toContain('SECRET')
  })
})

test('the lines that are told work when they are written as they stand', () => {
  const advice = [...FOR_CALLERS, ...FOR_TEAMS].join('\n')
  const caller = parse(
    `{ ${/budget_usd: \[[^\]]*\]/.exec(advice)?.[0] ?? ''}, tokens_per_minute: 1000, requests_per_minute: 60 }`,
  ) as object
  const budgets = [...advice.matchAll(/under budgets: (\{.*?\})\./g)].map(
    ([, entry]) => parse(entry ?? '') as object,
  )
  expect(budgets).toHaveLength(3)
  const config = parseConfig(
    { callers: [{ id: 'a', key: '${env:CALLER}', team: 'x', ...caller }], budgets },
    ENV,
  )
  expect(config.budgets.map(({ name, limit }) => [name, limit])).toEqual([
    ['teams', 10_000_000n],
    ['team-tokens', 1000n],
    ['team-requests', 60n],
    ['callers.month', 10_000_000n],
  ])
  expect(config.callers[0]).toMatchObject({ tokensPerMinute: 1000, requestsPerMinute: 60 })
})
