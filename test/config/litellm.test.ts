import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { parseConfig } from '../../src/app/config/load.ts'
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

  it('becomes routes', () => {
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
      'model_list[0].litellm_params.rpm',
      'model_list[0].model_info.mode',
      'router_settings.redis_host',
    ])
  })
})

it('mistakes are told where they stand in the file', () => {
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
`
  const places = problemsIn(() => load(text, ENV)).map(({ path, position }) => `${position?.line} ${path}`)
  expect(places).toEqual([
    '4 model_list[0].litellm_params.model',
    '9 model_list[1].litellm_params.api_base',
    '10 model_list[1].litellm_params.api_key',
  ])
})

it('our own form is left as it is', () => {
  const config = parseConfig({ model_list: [{ model_name: 'a', api_base: 'http://127.0.0.1:1/v1' }] }, {})
  expect([config.router.strategy, config.ignoredKeys]).toEqual(['order', []])
})
