import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EXAMPLE_CONFIG } from '../../src/app/cli/shared/example-config.ts'
import { run } from '../../src/app/cli/run.ts'
import { configFile, FULL, FULL_ENV, temporaryDirectory } from '../config/config-file.ts'
import { FakeTerminal } from './fake-terminal.ts'
import { tollway } from './tollway.ts'

const EXAMPLE = fileURLToPath(new URL('../../examples/tollway.yaml', import.meta.url))

describe('examples/tollway.yaml', () => {
  it('passes, and shows what each route would do', async () => {
    const env = { TOLLWAY_WALLET_KEY: 'wallet-secret', OPENAI_API_KEY: 'api-secret' }
    expect(await tollway(['check', '--config-only', '--config', EXAMPLE], { env })).toEqual({
      code: 0,
      stderr: '',
      stdout: `${EXAMPLE} is valid.

listen        127.0.0.1:8402
store         sqlite:./tollway.db
callers       anyone who can reach the address
other models  refused (no upstream)
ceiling       $0.10 per request
metrics       127.0.0.1:8402/metrics, open to anyone who can reach it

MODEL   REMOTE MODEL  API BASE                       PAYER    NETWORKS      BUDGETS
paid/*  *             https://seller.example.com/v1  base     base-sepolia  all
gpt-4o  (unchanged)   https://api.openai.com/v1      - (key)  -             -

PAYER  NETWORKS      PAYS BY
base   base-sepolia  signs in the gateway: the environment variable TOLLWAY_WALLET_KEY

BUDGET  LIMIT  WINDOW  TIME ZONE  PER
all     $5.00  day     UTC        -
`,
    })
  })

  it('is the text that the help shows', () => {
    expect(readFileSync(EXAMPLE, 'utf8')).toBe(EXAMPLE_CONFIG)
  })

  it('says which variables it misses, with lines', async () => {
    expect(await tollway(['check', '--config', EXAMPLE])).toEqual({
      code: 2,
      stdout: '',
      stderr: `${EXAMPLE}:9:5 payers.base.key: needs the environment variable TOLLWAY_WALLET_KEY, which is not set. Set it before the start.
${EXAMPLE}:19:5 model_list[1].api_key: needs the environment variable OPENAI_API_KEY, which is not set. Set it before the start.
`,
    })
  })
})

it('looks for tollway.yaml in the working directory and says where it looked', async () => {
  const cwd = temporaryDirectory()
  expect(await tollway(['check'], { cwd })).toEqual({
    code: 2,
    stdout: '',
    stderr: `tollway.yaml: there is no such file (looked at ${cwd}/tollway.yaml). Make one with \`tollway init\`, or name yours with --config.\n`,
  })
  configFile('store: memory\n', cwd)
  expect((await tollway(['check'], { cwd })).stdout).toContain('tollway.yaml is valid.')
})

it('shows for whom a limit is, its soft limit, and that it only watches', async () => {
  const terminal = new FakeTerminal(FULL_ENV)
  expect(await run(['check', '--config-only', '--config', configFile(FULL)], terminal)).toBe(0)
  expect(terminal.out).toContain(`
BUDGET       LIMIT        WINDOW  TIME ZONE      PER
all          $5.00        day     Europe/Berlin  -
each         $1.00        24h     -              caller       soft limit $0.75
obol         1 OBOL       month   UTC            -            not enforced
sessions     $0.10        day     UTC            tag.session  prod-* $0.50, only model paid/opus* and caller openclaw
tokens       1000 tokens  hour    UTC            -
requests     10 requests  hour    UTC            -
callers.day  $5.00        day     UTC            caller       openclaw $5.00, nobody else
callers.24h  $20.00       24h     -              caller       openclaw $20.00, nobody else
`)
})

it('says of every kind and mode of payer how it pays, and what is linked, without a secret', async () => {
  const terminal = new FakeTerminal(FULL_ENV)
  expect(await run(['check', '--config-only', '--config', configFile(FULL)], terminal)).toBe(0)
  for (const line of [
    /^locked +base +signs in the gateway: the keystore \/keys\/wallet\.json, with the password from the environment variable KEYSTORE_PASSWORD$/m,
    /^shared +base +signs in the gateway: the AgentCash wallet \/keys\/agentcash\.json$/m,
    /^remote +base +signs in the gateway: the remote signer at 127\.0\.0\.1:9000, as 0x209693bc/m,
    /^card +base +signs in the gateway: the AgentCash wallet \/var\/lib\/me\/\.agentcash\/wallet\.json$/m,
    /^server +base +one AgentCash server \(\/opt\/agentcash\/index\.js\) that pays through a local shim; at most \d+ at once$/m,
    /its models and prices are read from the seller/,
    /quoted again with as few as 256 output tokens when the price is too high/,
    /^Transactions on base are linked to scan\.example\.com\.$/m,
  ]) {
    expect(terminal.out).toMatch(line)
  }
  expect(terminal.out).toMatch(
    /the x402-buyer at [^ ]+, upstream of .+: its url must be http:\/\/127\.0\.0\.1:\d+/,
  )
  expect(terminal.out).toMatch(/vouchers in .*buyer-config, at most \d+ and \$[\d.]+ unused; /)
  for (const secret of Object.values(FULL_ENV)) expect(terminal.out).not.toContain(secret)
})

/** What budgets of the full example have in common. */
function scoped(name: string, per: string | null) {
  return { name, per, soft_usd: null, window: 'day', timezone: 'UTC', enforce: true }
}

it('prints JSON for programs', async () => {
  const ended = await tollway(['check', '--config-only', '--json', '--config', configFile(FULL)], {
    env: FULL_ENV,
  })
  expect(ended).toMatchObject({ code: 0, stderr: '' })
  expect(JSON.parse(ended.stdout)).toEqual({
    ok: true,
    wallets: {},
    running: [],
    listen: '127.0.0.1:0',
    store: 'sqlite:./ledger/tollway.db',
    upstream: 'http://127.0.0.1:4000/v1/',
    upstreams: [],
    upstream_problems: [expect.stringContaining('buyer-config cannot be read (ENOENT)')],
    callers: 2,
    caller_list: [
      {
        id: 'openclaw',
        models: ['paid/*'],
        expires: '2027-01-31T00:00:00.000Z',
        requests_per_minute: 60,
        tokens_per_minute: 100_000,
        max_parallel_requests: 4,
      },
      {
        id: 'other',
        models: ['*'],
        expires: null,
        requests_per_minute: null,
        tokens_per_minute: null,
        max_parallel_requests: null,
      },
    ],
    router: {
      strategy: 'weighted',
      aliases: { fast: 'paid/qwen' },
      fallbacks: { 'paid/*': ['local-llama'] },
      context_window_fallbacks: { 'local-llama': ['paid/long'] },
      content_policy_fallbacks: { 'paid/*': ['local-llama'] },
      num_retries: 2,
      allowed_fails: 1,
      cooldown_seconds: 2.5,
      session_affinity_seconds: 60,
    },
    ignored_keys: [],
    litellm_notes: [],
    max_usd_per_request: '0.25',
    notify: { host: 'ops.example.com', at: ['0.5', '0.8', '1'] },
    metrics: { listen: '127.0.0.1:9464', token: true },
    payers: expect.arrayContaining([
      {
        name: 'base',
        kind: 'direct',
        mode: null,
        networks: ['eip155:84532', 'eip155:8453'],
        pays_by: 'signs in the gateway: the environment variable WALLET_KEY',
      },
    ]),
    routes: [
      {
        model_name: 'paid/*',
        remote_model: '*',
        api_base: 'https://Seller.example.com/v1/',
        payer: 'base',
        networks: ['eip155:84532', 'eip155:8453'],
        keyed: false,
        budgets: ['all', 'each', 'obol', 'sessions', 'tokens', 'requests', 'callers.day', 'callers.24h'],
        order: 2,
        weight: 3,
        default_max_tokens: 4096,
        max_parallel_requests: 8,
        max_retries: 1,
        drop_params: ['store'],
        catalogue: true,
        payment_header: 'both',
        pin: {
          asset: '0x036cbd53842c5426634e7929541ec2318f3dcf7e',
          network: 'eip155:84532',
          pay_to: ['0x209693bc6afc0c5328ba36faf03c514ef312287c'],
        },
        reduce_max_tokens: 256,
        send_traceparent: true,
        terms: 'ask',
        on_changed_terms: 'pay_again',
        provider: 'example',
        when: { callers: ['openclaw'], headers: { 'x-tier': 'premium' } },
        timeouts_seconds: { connect: 5, first_byte: 6, idle: 7, total: 8 },
        context_window: 128_000,
        usd_per_request: '0.002',
      },
      {
        model_name: 'local-llama',
        remote_model: null,
        api_base: 'http://127.0.0.1:11434/v1',
        payer: null,
        networks: [],
        keyed: true,
        budgets: [],
        weight: 1,
      },
    ],
    budgets: [
      {
        name: 'all',
        per: null,
        limit_usd: '5',
        soft_usd: null,
        window: 'day',
        timezone: 'Europe/Berlin',
        enforce: true,
      },
      {
        name: 'each',
        per: 'caller',
        limit_usd: '1',
        soft_usd: '0.75',
        window: '24h',
        timezone: 'UTC',
        enforce: true,
      },
      {
        name: 'obol',
        per: null,
        limit: '1000000000000000000',
        asset: 'OBOL',
        soft_usd: null,
        window: 'month',
        timezone: 'UTC',
        enforce: false,
      },
      {
        ...scoped('sessions', 'tag.session'),
        limit_usd: '0.1',
        limits: { 'prod-*': '0.5', default: '0.1' },
        match: { model: ['paid/opus*'], caller: ['openclaw'] },
      },
      { ...scoped('tokens', null), window: 'hour', limit: '1000', asset: 'tokens' },
      { ...scoped('requests', null), window: 'hour', limit: '10', asset: 'requests' },
      { ...scoped('callers.day', 'caller'), limit_usd: '5', limits: { openclaw: '5' } },
      { ...scoped('callers.24h', 'caller'), window: '24h', limit_usd: '20', limits: { openclaw: '20' } },
    ],
  })
})

it('prints mistakes as JSON too, and still ends with 2', async () => {
  const path = configFile('store: memory\nbugdets: []\n')
  const ended = await tollway(['check', '--json', '--config', path])
  expect(ended).toMatchObject({ code: 2, stderr: '' })
  expect(JSON.parse(ended.stdout)).toEqual({
    ok: false,
    problems: [
      {
        file: path,
        path: 'bugdets',
        position: { line: 2, column: 1 },
        message: 'is not a known key. Did you mean "budgets"?',
      },
    ],
  })
})

it('warns when paid routes have no budget', async () => {
  const terminal = new FakeTerminal({ W: 'x' })
  const path = configFile(
    'payers: { w: { kind: direct, key: "${env:W}", networks: [base] } }\n' +
      'model_list: [{ model_name: a, api_base: "https://s.example.com/v1", payer: w }]\n',
  )
  expect(await run(['check', '--config-only', '--config', path], terminal)).toBe(0)
  expect(terminal.out).toContain(
    'Note: there are paid routes but no budgets. Only the ceiling per request limits spending.',
  )
})

it('never prints a secret, wherever a reference puts it', async () => {
  const secret = fc.stringMatching(/^[a-z][a-z0-9]{19,40}$/)
  const directory = temporaryDirectory()
  const path = configFile('', directory)
  const places = [/\/v1\/\n/, /127\.0\.0\.1:4000/, /Seller/, /local-llama\n {4}api_base/, /sqlite:\.\/ledger/]
  await fc.assert(
    fc.asyncProperty(secret, fc.constantFrom(...places), fc.boolean(), async (value, place, json) => {
      // Every text stands in double quotes, so that a reference may stand in it.
      const text = FULL.replace(/: (http\S+|sqlite\S+)$/gm, ': "$1"').replace(place, (found) =>
        found.replace(/4000|ledger|Seller|v1|local-llama/, () =>
          found.includes('4000') ? '4000/${env:LEAK}' : '${env:LEAK}',
        ),
      )
      configFile(text.replace('model_name: ${env:LEAK}', 'model_name: "${env:LEAK}"'), directory)
      const env: Record<string, string> = { LEAK: value }
      for (const name of Object.keys(FULL_ENV)) env[name] = `${name}${value}`.toLowerCase()
      const terminal = new FakeTerminal(env)
      await run(['check', '--config-only', '--config', path, ...(json ? ['--json'] : [])], terminal)
      expect(terminal.out + terminal.err).not.toBe('')
      expect(terminal.out + terminal.err).not.toContain(value)
    }),
    { numRuns: 100 },
  )
})

it('explains how routes are chosen, who may call, and what of a LiteLLM file has no effect', async () => {
  const text = `model_list:
  - { model_name: m, api_base: http://127.0.0.1:1/v1, max_parallel_requests: 2, when: { callers: [a] } }
  - { model_name: m, api_base: http://127.0.0.1:2/v1, drop_params: [store] }
  - { model_name: spare, api_base: http://127.0.0.1:3/v1 }
router: { aliases: { fast: m }, fallbacks: [{ m: [spare] }] }
keys: { path: ./keys.json }
general_settings: { database_url: x }
`
  const { stdout } = await tollway(['check', '--config', configFile(text)], { env: {} })
  expect(stdout).toContain('callers       those in the keys file')
  for (const line of [
    'Routes with the same name are tried in the order listed, lower order first.',
    'fast is an alias for m.',
    'When m cannot be served: spare.',
    'm at 127.0.0.1:1: only for callers a; at most 2 requests at once.',
    'm at 127.0.0.1:2: sent without store.',
    'LiteLLM keys that Tollway ignores: general_settings.database_url.',
  ])
    expect(stdout).toContain(`${line}\n`)
})
