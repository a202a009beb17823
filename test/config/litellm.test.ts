import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { parseConfig } from '../../src/app/config/load.ts'
import { formatNote, type LitellmNote } from '../../src/app/config/litellm/note.ts'
import type { ResolvedConfig } from '../../src/app/config/resolve/resolved.ts'
import { load, problemsIn } from './config-file.ts'

const ENV = { OPENAI_API_KEY: 'sk-openai', VLLM_KEY: 'sk-vllm', MASTER: 'sk-master', WALLET: 'w' }

/** In the shape of LiteLLM's documented example; not made by LiteLLM itself. */
const LITELLM = `model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o-2024-08-06
      api_key: os.environ/OPENAI_API_KEY
      rpm: 60
      weight: 2
      order: 1
      timeout: 30
      max_parallel_requests: 5
      additional_drop_params: [store]
      input_cost_per_token: 2.5e-06
      output_cost_per_token: 0.00001
    model_info: { mode: chat, max_input_tokens: 128000 }
  - model_name: "vllm/*"
    litellm_params: { model: "hosted_vllm/*", api_base: http://10.0.0.1:8000/v1, api_key: os.environ/VLLM_KEY }
  - model_name: org/model
    litellm_params: { model: org/model, api_base: http://10.0.0.2:8000/v1 }
  - model_name: paid/x
    litellm_params: { model: openai/x, api_base: https://seller.example.com/v1 }
    payer: base
payers:
  base: { kind: direct, key: "\${env:WALLET}", networks: [base] }
litellm_settings: { drop_params: true, num_retries: 1, fallbacks: [{ gpt-4o: ["vllm/a"] }] }
router_settings:
  routing_strategy: simple-shuffle
  num_retries: 2
  allowed_fails: 1
  cooldown_time: 30
  model_group_alias: { gpt-4: gpt-4o, hidden: { model: "vllm/b", hidden: true } }
  redis_host: os.environ/REDIS_HOST
general_settings: { master_key: os.environ/MASTER, database_url: "postgres://x" }
environment_variables: { A: b }
`

describe("LiteLLM's config.yaml", () => {
  const config = parseConfig(parse(LITELLM), ENV)

  it('a model list of LiteLLM becomes routes', () => {
    expect(config.routes).toMatchObject([
      {
        modelName: 'gpt-4o',
        model: 'gpt-4o-2024-08-06',
        apiBase: 'https://api.openai.com/v1',
        apiKey: 'sk-openai',
        weight: 2,
        order: 1,
        maxParallel: 5,
        dropParams: ['store'],
        timeouts: { firstByteMs: 30_000 },
        info: { contextWindow: 128_000, inputUsdPerToken: '0.0000025', outputUsdPerToken: '0.00001' },
      },
      { modelName: 'vllm/*', model: '*', apiBase: 'http://10.0.0.1:8000/v1', apiKey: 'sk-vllm' },
      { modelName: 'org/model', model: undefined, apiBase: 'http://10.0.0.2:8000/v1', apiKey: undefined },
      { modelName: 'paid/x', model: 'x', payer: 'base', apiKey: undefined },
    ])
  })

  it('becomes a router, what router_settings says first', () => {
    expect(config.router).toMatchObject({
      strategy: 'weighted',
      numRetries: 2,
      allowedFails: 1,
      cooldownMs: 30_000,
    })
    expect(config.router.aliases).toEqual(
      new Map([
        ['gpt-4', 'gpt-4o'],
        ['hidden', 'vllm/b'],
      ]),
    )
    expect(config.fallbacks).toEqual(new Map([['gpt-4o', ['vllm/a']]]))
  })

  it('lets its master key in as a caller', () => {
    expect(config.callers.map(({ id, models }) => ({ id, models }))).toEqual([
      { id: 'litellm-master', models: ['*'] },
    ])
  })

  it('names every key that has no effect', () => {
    expect(config.ignoredKeys.toSorted()).toEqual([
      'environment_variables.A',
      'general_settings.database_url',
      'litellm_settings.drop_params',
      'litellm_settings.num_retries',
      'model_list[0].model_info.mode',
      'router_settings.redis_host',
    ])
  })
})

it('mistakes are told where they stand in the file, with the advice in its own form', () => {
  const text = `model_list:
  - model_name: a
    litellm_params:
      model: anthropic/claude
      api_base: https://api.example.com/v1
  - model_name: b
    litellm_params:
      model: openai/b
      api_base: nonsense
      api_key: sk-in-plain-text
    wieght: 2
general_settings: { master_key: sk-real-1f6e }
budegts: []
`
  const problems = problemsIn(() => load(text, ENV))
  expect(problems.map(({ path, position }) => `${position?.line} ${path}`)).toEqual([
    '9 model_list[1].litellm_params.api_base',
    '10 model_list[1].litellm_params.api_key',
    '11 model_list[1].wieght',
    '12 general_settings.master_key',
    '13 budegts',
  ])
  for (const at of [1, 3]) expect(problems[at]?.message).toContain('Write os.environ/NAME, as in LiteLLM.')
})

it('our own form is left as it is', () => {
  const config = parseConfig({ model_list: [{ model_name: 'a', api_base: 'http://127.0.0.1:1/v1' }] }, {})
  expect([config.router.strategy, config.ignoredKeys]).toEqual(['order', []])
})

/** A file with one good entry and these further parts. */
function file(parts: object, entry: object = {}): ResolvedConfig {
  const litellm_params = { model: 'openai/m', api_base: 'http://127.0.0.1:1/v1', ...entry }
  return parseConfig({ model_list: [{ model_name: 'm', litellm_params }], ...parts }, ENV)
}

function notes(config: ResolvedConfig, kind: LitellmNote['kind']): string[] {
  return config.litellmNotes.filter((note) => note.kind === kind).map(formatNote)
}

const PAYERS = { base: { kind: 'direct', key: '${env:WALLET}', networks: ['base'] } }

describe('placeholder keys', () => {
  const KNOWN = [
    'none',
    'NONE',
    'sk-1234',
    'EMPTY',
    'your-api-key-2',
    'my_fake_key',
    '<key>',
    'not-needed',
    'sk-xxxx',
  ]
  it.each(KNOWN)('%s is sent as it is, and told', (key) => {
    const config = file({}, { api_key: key })
    expect(config.routes[0]?.apiKey).toBe(key)
    expect(notes(config, 'placeholder')).toEqual([
      'model_list[0].litellm_params.api_key: is a placeholder, not a secret. Where the server wants a key, write api_key: os.environ/NAME.',
    ])
  })

  const REAL = [
    'sk-proj-Zk3',
    'hf_LdS',
    'noneofyourbusiness',
    'my-company-prod-8812',
    'sk-12345678901234567890',
  ]
  it.each(REAL)('%s may be a real key, and is refused', (key) => {
    const [problem] = problemsIn(() => file({}, { api_key: key }))
    expect(problem?.message).toContain('holds a secret in plain text')
    expect(problem?.message).not.toContain(key)
  })

  it.each(['', null])('an empty key is none', (key) => {
    expect(file({}, { api_key: key }).routes[0]?.apiKey).toBeUndefined()
  })

  it('a paid route has none', () => {
    const config = file({ payers: PAYERS }, { api_key: 'unused', payer: 'base' })
    expect(config.routes[0]).toMatchObject({ payer: 'base', apiKey: undefined })
  })

  it('lets a placeholder master key in on this machine only', () => {
    const general_settings = { master_key: 'sk-1234' }
    expect(file({ general_settings }).callers).toMatchObject([{ id: 'litellm-master' }])
    const problems = problemsIn(() => file({ general_settings, listen: '0.0.0.0:8402' }))
    expect(problems.map(({ path }) => path)).toContain('general_settings.master_key')
  })

  it('does not pass for a wallet key, or for a key of our own sections', () => {
    const payers = { base: { ...PAYERS.base, key: 'none' } }
    expect(problemsIn(() => file({ payers }))).toHaveLength(1)
    expect(problemsIn(() => file({ admin: { key: 'sk-1234' } }))).toHaveLength(1)
  })
})

describe('providers with an API of their own', () => {
  const model_list = [
    { model_name: 'claude', litellm_params: { model: 'anthropic/claude', api_key: 'sk-real', rpm: 5 } },
    { model_name: 'vertex', litellm_params: { model: 'gemini-pro', custom_llm_provider: 'vertex_ai' } },
    { model_name: 'odd', litellm_params: { model: 'unheard_of/model' } },
    { model_name: 'm', litellm_params: { model: 'openai/m', api_base: 'http://127.0.0.1:1/v1' } },
  ]
  const router_settings = {
    fallbacks: [{ m: ['claude', 'm2'] }, { claude: ['m'] }],
    model_group_alias: { c: 'claude', mm: 'm' },
  }
  const m2 = {
    model_name: 'm2',
    litellm_params: { model: 'xinference/m2', api_base: 'http://127.0.0.1:2/v1' },
  }

  it('skip their entry alone, with the line to write', () => {
    const config = parseConfig({ model_list: [...model_list, m2], router_settings }, ENV)
    expect(config.routes.map(({ modelName, model }) => [modelName, model])).toEqual([
      ['m', undefined],
      ['m2', undefined],
    ])
    const skipped = notes(config, 'entry_skipped')
    expect(skipped.map((note) => note.split(':')[0])).toEqual([
      'model_list[0]',
      'model_list[1]',
      'model_list[2]',
    ])
    for (const note of skipped) expect(note).toContain('Requests for it are refused.')
    const line = /write here: (upstream: .*)$/.exec(skipped[0] ?? '')?.[1] ?? ''
    const env = { ...ENV, LITELLM_MASTER_KEY: 'k' }
    const behind = parseConfig({ model_list, ...(parse(line) as object) }, env)
    expect(behind.upstream).toMatchObject({ apiBase: 'http://127.0.0.1:4000/v1', apiKey: 'k' })
    expect(notes(behind, 'entry_skipped')[0]).toMatch(/Requests for it go to upstream\.$/)
  })

  it('leave their fallbacks, aliases and limits, each told', () => {
    const config = parseConfig({ model_list: [...model_list, m2], router_settings }, ENV)
    expect(config.fallbacks).toEqual(new Map([['m', ['m2']]]))
    expect([...config.router.aliases]).toEqual([['mm', 'm']])
    expect(notes(config, 'fallback_dropped').map((note) => note.split(':')[0])).toEqual([
      'router_settings.fallbacks[0].m[0]',
      'router_settings.fallbacks[1].claude',
      'router_settings.model_group_alias.c',
    ])
    expect(notes(config, 'limit_dropped')).toEqual([
      'model_list[0].litellm_params.rpm: this limit (5) is not applied. Set callers[].requests_per_minute.',
    ])
  })
})

describe('fallbacks and stars', () => {
  it('reads * and default_fallbacks as those of every other model', () => {
    const star = file({ litellm_settings: { fallbacks: [{ '*': ['m'] }, { '*': ['x'] }] } })
    expect(star.fallbacks).toEqual(new Map([['*', ['m']]]))
    expect(notes(star, 'fallback_dropped')).toHaveLength(1)
    const defaults = file({ litellm_settings: { default_fallbacks: [{ model: 'm', temperature: 1 }] } })
    expect(defaults.fallbacks).toEqual(new Map([['*', ['m']]]))
    expect(defaults.ignoredKeys).toEqual(['litellm_settings.default_fallbacks[0].temperature'])
  })

  it('takes several entries of *, and names with several stars', () => {
    const base = { api_base: 'http://127.0.0.1:1/v1' }
    const entries = [
      { model_name: '*', litellm_params: { model: 'openai/*', ...base, rpm: 30 } },
      { model_name: '*', litellm_params: { model: 'hosted_vllm/*', ...base, rpm: 10 } },
      { model_name: 'ft:*:team:*', litellm_params: { model: 'openai/ft:*:team:*', ...base } },
    ]
    const config = parseConfig({ model_list: entries }, ENV)
    expect(config.routes.map(({ modelName, weight }) => [modelName, weight])).toEqual([
      ['*', 30],
      ['*', 10],
      ['ft:*:team:*', undefined],
    ])
  })

  it('leaves weights out where another strategy decides', () => {
    const config = file({ router_settings: { routing_strategy: 'cost-based-routing' } }, { weight: 3 })
    expect(config.router.strategy).toBe('cheapest')
    expect(config.ignoredKeys).toEqual(['model_list[0].litellm_params.weight'])
  })
})

describe('limits', () => {
  const settings = {
    max_budget: 100,
    budget_duration: '30d',
    max_internal_user_budget: 5,
    default_internal_user_params: { max_budget: 1, tpm_limit: 1000, user_role: 'internal_user' },
    upperbound_key_generate_params: { max_parallel_requests: 4, duration: '30d', rpm_limit: 9 },
    tag_budget_config: { bot: { max_budget: 2, budget_duration: '1d' } },
    cache_params: { max_connections: 100 },
  }
  const general = {
    global_max_parallel_requests: 50,
    max_response_size_mb: 10,
    proxy_budget_rescheduler_min_time: 60,
  }
  const entry = {
    rpm: 1,
    tpm: 2,
    max_budget: 3,
    budget_duration: '1h',
    max_tokens: 20,
    model_rpm_limit: { a: 4 },
  }

  it('are told one by one, wherever LiteLLM takes them', () => {
    const config = file(
      {
        litellm_settings: settings,
        router_settings: { provider_budget_config: { openai: { budget_limit: 3, time_period: '1d' } } },
        general_settings: general,
        agent_list: [{ agent_name: 'a', litellm_params: { max_budget_per_session: 4, max_iterations: 25 } }],
        mcp_servers: { gh: { url: 'https://x.example.com', rpm: null } },
      },
      entry,
    )
    expect(notes(config, 'limit_dropped').map((note) => note.split(':')[0])).toEqual([
      'agent_list[0].litellm_params.max_budget_per_session',
      'agent_list[0].litellm_params.max_iterations',
      'model_list[0].litellm_params.model_rpm_limit.a',
      'router_settings.provider_budget_config.openai.budget_limit',
      'router_settings.provider_budget_config.openai.time_period',
      'litellm_settings.max_internal_user_budget',
      'litellm_settings.default_internal_user_params.max_budget',
      'litellm_settings.default_internal_user_params.tpm_limit',
      'litellm_settings.upperbound_key_generate_params.max_parallel_requests',
      'litellm_settings.upperbound_key_generate_params.duration',
      'litellm_settings.upperbound_key_generate_params.rpm_limit',
      'litellm_settings.tag_budget_config.bot.max_budget',
      'litellm_settings.tag_budget_config.bot.budget_duration',
      // The route costs nothing here: the budget would count nothing.
      'model_list[0].litellm_params.max_budget',
      'model_list[0].litellm_params.budget_duration',
      'general_settings.global_max_parallel_requests',
      'general_settings.max_response_size_mb',
      'litellm_settings.max_budget',
      'litellm_settings.budget_duration',
    ])
  })

  it.each([
    ['30d', 100, 'month', 100_000_000n],
    ['7d', '12.5', 'week', 12_500_000n],
    ['24h', 0.0000019, 'day', 1n],
    ['3d', 1, 'rolling', 1_000_000n],
    ['90s', 1, 'rolling', 1_000_000n],
    [undefined, 1, 'lifetime', 1_000_000n],
    ['soon', 1, 'lifetime', 1_000_000n],
  ] as const)('max_budget with %s is a budget of paid routes', (duration, max, window, limit) => {
    const litellm_settings = { max_budget: max, ...(duration && { budget_duration: duration }) }
    const budgets = [{ name: 'own', limit_usd: '1', window: 'day' }]
    const config = file({ payers: PAYERS, budgets, litellm_settings }, { payer: 'base' })
    expect(config.budgets).toMatchObject([{ name: 'own' }, { name: 'litellm-max-budget', window, limit }])
    expect(notes(config, 'limit_kept')[0]).toMatch(/^litellm_settings\.max_budget: /)
  })

  it('of an entry are budgets of its route', () => {
    const priced = { rpm: 3, tpm: 500, max_budget: 2.5, budget_duration: '1d', soft_budget: 2 }
    const config = file({}, { ...priced, input_cost_per_token: 0.00001 })
    const match = new Map([['route', ['m']]])
    expect(config.budgets).toMatchObject([
      {
        name: 'litellm-1-requests',
        limit: 3n,
        asset: { counts: 'requests' },
        window: 'rolling',
        lengthMs: 60_000,
        match,
      },
      {
        name: 'litellm-1-tokens',
        limit: 500n,
        asset: { counts: 'tokens' },
        window: 'rolling',
        lengthMs: 60_000,
        match,
      },
      { name: 'litellm-1-usd', limit: 2_500_000n, soft: 2_000_000n, window: 'day', match },
    ])
    const kept = ['rpm', 'tpm', 'max_budget', 'budget_duration', 'soft_budget']
    expect(notes(config, 'limit_kept').map((note) => note.split(':')[0])).toEqual(
      kept.map((key) => `model_list[0].litellm_params.${key}`),
    )
    expect(notes(config, 'limit_dropped')).toEqual([])
    expect(config.ignoredKeys).toEqual([])
  })

  it('in model_info, and as rpm_limit and tpm_limit, are the same', () => {
    const config = parseConfig(
      {
        model_list: [
          {
            model_name: 'm',
            litellm_params: { model: 'openai/m', api_base: 'http://127.0.0.1:1/v1', rpm_limit: 4 },
            model_info: { tpm_limit: 50, rpm: 9, max_budget: 1, usd_per_request: '0.01' },
          },
        ],
      },
      ENV,
    )
    expect(config.budgets.map(({ name, limit, window }) => [name, limit, window])).toEqual([
      ['litellm-1-requests', 9n, 'rolling'],
      ['litellm-1-tokens', 50n, 'rolling'],
      ['litellm-1-usd', 1_000_000n, 'lifetime'],
    ])
  })

  it('of several entries of a name are shared as their sum, and dropped where one of them has none', () => {
    const of = (rates: readonly object[], name = 'm', more: readonly object[] = []) =>
      parseConfig(
        {
          model_list: [
            ...rates.map((rate, at) => ({
              model_name: name,
              litellm_params: { model: 'openai/x', api_base: `http://127.0.0.1:${at + 1}/v1`, ...rate },
            })),
            ...more,
          ],
        },
        ENV,
      )
    expect(of([{ rpm: 60, tpm: 9 }, { rpm: 600 }]).budgets).toMatchObject([{ limit: 660n }])
    expect(notes(of([{ rpm: 60 }, {}]), 'limit_dropped')).toHaveLength(1)
    expect(notes(of([{ max_budget: 1 }, { max_budget: 2 }]), 'limit_dropped')).toHaveLength(2)
    // A budget that matches * would count the other route too.
    const other = {
      model_name: 'other',
      litellm_params: { model: 'openai/o', api_base: 'http://127.0.0.1:9/v1' },
    }
    expect(of([{ rpm: 60 }], '*').budgets).toHaveLength(1)
    expect(of([{ rpm: 60 }], '*', [other]).budgets).toEqual([])
    expect(notes(of([{ rpm: 60 }], '*', [other]), 'limit_dropped')).toHaveLength(1)
  })

  it.each([0, -1, 1.5, '60', true])('of %s are told and not applied', (rpm) => {
    expect(file({}, { rpm }).budgets).toEqual([])
    expect(file({}, { rpm }).ignoredKeys).toEqual(['model_list[0].litellm_params.rpm'])
  })

  it('of requests in flight and of bodies are kept', () => {
    const config = file({
      router_settings: { default_max_parallel_requests: 7 },
      general_settings: { max_parallel_requests: 9, max_request_size_mb: 2 },
    })
    expect([config.routes[0]?.maxParallel, config.bodyLimit]).toEqual([7, 2 * 1024 ** 2])
    expect(notes(config, 'limit_dropped')).toHaveLength(1)
    expect(file({ general_settings: { max_parallel_requests: 9 } }).routes[0]?.maxParallel).toBe(9)
  })
})

describe('unknown sections', () => {
  it('are named and passed over', () => {
    const sections = { guardrails: [{}], mcp_servers: {}, credential_list: [], policies: {}, some_plugin: 1 }
    expect(file(sections).ignoredKeys).toEqual(Object.keys(sections))
  })

  it('are refused where they are nearly ours', () => {
    for (const key of ['budget', 'polcy', 'tag', 'payer']) {
      expect(problemsIn(() => file({ [key]: {} })).map(({ path }) => path)).toEqual([key])
    }
  })
})

it('a key that nobody wrote is looked up where LiteLLM does, and told when it is not set', () => {
  const model_list = ['gpt-4o', 'groq/llama'].map((model) => ({
    model_name: model,
    litellm_params: { model },
  }))
  const config = parseConfig({ model_list }, { OPENAI_API_KEY: 'sk-openai' })
  expect(config.routes.map(({ apiKey }) => apiKey)).toEqual(['sk-openai', undefined])
  expect(notes(config, 'no_key')[0]).toContain('GROQ_API_KEY')
})
