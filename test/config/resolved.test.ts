import { Variables } from '../../src/core/payer/variables.ts'
import { REQUESTS, TOKENS } from '../../src/core/budget/budget.ts'
import { TOKEN_2022_PROGRAM } from '../../src/core/solana/programs.ts'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import { hashKey } from '../../src/io/callers/hash-key.ts'
import { loadConfig, parseConfig } from '../../src/app/config/load.ts'
import { AUDIT_PEM, configFile, FULL, FULL_ENV, load, temporaryDirectory } from './config-file.ts'

it('turns every key into our units', () => {
  const directory = temporaryDirectory()
  const config = loadConfig(configFile(FULL, directory), FULL_ENV)
  expect(config).toEqual({
    fingerprint: expect.any(Object),
    ignoredKeys: [],
    litellmNotes: [],
    listen: { host: '127.0.0.1', port: 0 },
    store: `sqlite:${join(directory, 'ledger/tollway.db')}`,
    upstream: {
      apiBase: 'http://127.0.0.1:4000/v1',
      apiKey: 'upstream-secret-1',
      allowPaths: ['/assistants', '/threads/*'],
    },
    callers: [
      {
        id: 'openclaw',
        keyDigest: hashKey('caller-secret-1'),
        models: ['paid/*'],
        expiresAt: Date.UTC(2027, 0, 31),
        requestsPerMinute: 60,
        tokensPerMinute: 100_000,
        maxParallel: 4,
        team: 'search',
      },
      { id: 'other', keyDigest: hashKey('caller-secret-2'), models: ['*'] },
    ],
    keys: { path: join(directory, 'callers.json') },
    userAgents: new Map([['pool', 'my-buyer/1.0']]),
    payers: new Map([
      [
        'base',
        {
          kind: 'direct',
          key: { source: 'env', name: 'WALLET_KEY', variables: expect.any(Variables) },
          networks: ['eip155:84532', 'eip155:8453'],
        },
      ],
      [
        'locked',
        {
          kind: 'direct',
          key: {
            source: 'keystore',
            path: '/keys/wallet.json',
            password: { source: 'env', name: 'KEYSTORE_PASSWORD', variables: expect.any(Variables) },
          },
          networks: ['eip155:8453'],
        },
      ],
      [
        'shared',
        {
          kind: 'direct',
          key: { source: 'agentcash', path: '/keys/agentcash.json' },
          networks: ['eip155:8453'],
        },
      ],
      [
        'sol',
        {
          kind: 'solana',
          key: { source: 'env', name: 'SOLANA_KEY', variables: expect.any(Variables) },
          networks: ['solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1'],
        },
      ],
      [
        'remote',
        {
          kind: 'direct',
          key: {
            source: 'remote',
            url: 'http://127.0.0.1:9000',
            token: 'signer-secret-1',
            address: '0x209693bc6afc0c5328ba36faf03c514ef312287c',
          },
          networks: ['eip155:8453'],
        },
      ],
      [
        'card',
        {
          kind: 'agentcash',
          mode: 'wallet',
          wallet: '/var/lib/me/.agentcash/wallet.json',
          networks: ['eip155:8453'],
        },
      ],
      [
        'server',
        {
          kind: 'agentcash',
          mode: 'mcp',
          binary: '/opt/agentcash/index.js',
          home: '/var/lib/me',
          args: ['--dev'],
          networks: ['eip155:8453'],
          concurrency: 3,
          timeoutMs: 20_000,
        },
      ],
      [
        'pool',
        {
          kind: 'obol',
          mode: 'pool',
          paths: { config: join(directory, 'buyer-config'), auths: join(directory, 'buyer-auths') },
          state: join(directory, 'state/consumed.json'),
          reloadMs: 10_000,
          limits: {
            maxCount: 2500,
            maxMicroUsd: 50_000_000n,
            maxAgeMs: 30 * 86_400_000,
            maxLifeMs: 366 * 86_400_000,
          },
          networks: [],
          userAgent: 'my-buyer/1.0',
        },
      ],
      ['ahead', expect.objectContaining({ kind: 'obol', mode: 'pool', filledBy: 'base', paths: undefined })],
      [
        'sidecar',
        {
          kind: 'obol',
          mode: 'sidecar',
          url: 'http://127.0.0.1:8404',
          model: 'qwen3.5:9b',
          shim: { host: '127.0.0.1', port: 8403 },
          networks: ['eip155:8453'],
          concurrency: 2,
          maxValiditySeconds: 3600,
          timeoutMs: 5_000,
        },
      ],
    ]),
    routes: [
      {
        modelName: 'paid/*',
        model: '*',
        apiBase: 'https://seller.example.com/v1',
        payer: 'base',
        apiKey: undefined,
        order: 2,
        weight: 3,
        maxParallel: 8,
        maxRetries: 1,
        dropParams: ['store'],
        catalogue: true,
        paidEndpoints: ['/chat/completions', '/messages'],
        reduceMaxTokens: 256,
        defaultMaxTokens: 4096,
        paymentHeader: 'both',
        pin: {
          network: 'eip155:84532',
          asset: '0x036cbd53842c5426634e7929541ec2318f3dcf7e',
          payTo: ['0x209693bc6afc0c5328ba36faf03c514ef312287c'],
        },
        sendTraceparent: true,
        terms: 'ask',
        onChangedTerms: 'pay_again',
        provider: 'example',
        onDisconnect: 'abort',
        alwaysStream: true,
        earlyKeepalive: true,
        eventsPerSecond: 50,
        when: { callers: ['openclaw'], headers: new Map([['x-tier', 'premium']]) },
        timeouts: { connectMs: 5_000, firstByteMs: 6_000, idleMs: 7_000, totalMs: 8_000 },
        info: {
          contextWindow: 128_000,
          maxOutputTokens: 16_384,
          microUsdPerRequest: 2_000n,
          inputUsdPerToken: '0.0000025',
          outputUsdPerToken: '0.00001',
          reasoningUsdPerToken: '0.00002',
          cachedInputUsdPerToken: '0.00000125',
          cacheWriteUsdPerToken: '0.000003125',
          inputUsdPerImage: '0.001',
          outputUsdPerImage: '0.04',
          inputUsdPerSecond: '0.0001',
          outputUsdPerSecond: '0.0002',
        },
      },
      {
        modelName: 'local-llama',
        model: undefined,
        apiBase: 'http://127.0.0.1:11434/v1',
        payer: undefined,
        apiKey: 'api-secret-1',
        order: 0,
      },
    ],
    fallbacks: new Map([['paid/*', ['local-llama']]]),
    router: {
      contextWindowFallbacks: new Map([['local-llama', ['paid/long']]]),
      contentPolicyFallbacks: new Map([['paid/*', ['local-llama']]]),
      aliases: new Map([['fast', 'paid/qwen']]),
      strategy: 'weighted',
      numRetries: 2,
      cooldownMs: 2_500,
      allowedFails: 1,
      sessionMs: 60_000,
      sessionHeaders: ['x-session-id'],
    },
    budgets: [
      { name: 'all', limit: 5_000_000n, window: 'day', timezone: 'Europe/Berlin', enforce: true },
      {
        name: 'each',
        per: 'caller',
        limit: 1_000_000n,
        soft: 750_000n,
        window: 'rolling',
        lengthMs: 86_400_000,
        timezone: 'UTC',
        enforce: true,
      },
      {
        name: 'obol',
        limit: 10n ** 18n,
        asset: { symbol: 'OBOL', decimals: 18 },
        window: 'month',
        timezone: 'UTC',
        enforce: false,
        alert: 'warning',
      },
      {
        name: 'sessions',
        per: 'tag.session',
        limit: 100_000n,
        limits: [{ subject: 'prod-*', limit: 500_000n }],
        namedOnly: false,
        window: 'day',
        timezone: 'UTC',
        enforce: true,
        match: new Map([
          ['model', ['paid/opus*']],
          ['caller', ['openclaw']],
        ]),
      },
      { name: 'tokens', limit: 1000n, asset: TOKENS, window: 'hour', timezone: 'UTC', enforce: true },
      {
        name: 'requests',
        limit: 10n,
        asset: REQUESTS,
        window: 'hour',
        timezone: 'UTC',
        enforce: true,
        routeTo: 'local-llama',
      },
      {
        name: 'callers.day',
        per: 'caller',
        limit: 5_000_000n,
        limits: [{ subject: 'openclaw', limit: 5_000_000n }],
        namedOnly: true,
        window: 'day',
        timezone: 'UTC',
      },
      {
        name: 'callers.24h',
        per: 'caller',
        limit: 20_000_000n,
        limits: [{ subject: 'openclaw', limit: 20_000_000n }],
        namedOnly: true,
        window: 'rolling',
        lengthMs: 86_400_000,
        timezone: 'UTC',
      },
    ],
    approval: { aboveMicroUsd: 2_000_000n, waitMs: 120_000 },
    notify: {
      url: 'https://ops.example.com/hook',
      secret: 'notify-secret-of-16',
      page: 'https://tollway.example.com/dashboard',
      levels: [500_000n, 800_000n, 1_000_000n],
    },
    tags: { header: 'x-team', declared: ['team:search', 'agent:main'], open: ['session'] },
    policy: {
      maxMicroUsd: 250_000n,
      maxValiditySeconds: 120,
      maxPriceChange: 250_000n,
      offerOrder: 'seller',
      signIn: true,
      terms: 'ask',
      onChangedTerms: 'pay_again',
      payTo: new Map([['https://seller.example.com', ['0x209693bc6afc0c5328ba36faf03c514ef312287c']]]),
    },
    blockPrivateNetworks: true,
    assets: [
      ...BUILT_IN_ASSETS.filter(({ symbol }) => symbol !== 'OBOL'),
      {
        network: 'eip155:1',
        address: '0x0b010000b7624eb9b3dfbc279673c76e9d29d5f7',
        symbol: 'OBOL',
        decimals: 18,
        usd: { numerator: 5n, scale: 2 },
        domain: { name: 'Obol Network', version: '1' },
        methods: ['permit2'],
      },
      {
        network: 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1',
        address: 'US517G5965aydkZ46HS38QLi7UQiSojurfbQfKCELFx',
        symbol: 'TEST',
        decimals: 6,
        usd: undefined,
        domain: undefined,
        tokenProgram: TOKEN_2022_PROGRAM,
      },
    ],
    chains: new Map([
      ['solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1', { rpc: 'http://127.0.0.1:8899', finality: 'finalized' }],
      ['eip155:84532', { rpc: 'https://rpc.example.com/rpc-secret-1', finality: 'safe' }],
      ['eip155:8453', { rpc: 'http://127.0.0.1:8545', finality: 'finalized' }],
    ]),
    reconcile: { intervalMs: 30_000 },
    audit: {
      path: join(directory, 'log/audit.jsonl'),
      signingKey: AUDIT_PEM,
      checkpointEvery: 50,
      rotateBytes: 2_097_152,
      rotateDaily: true,
      retain: 7,
      minFree: 33_554_432,
    },
    log: { level: 'debug', format: 'text' },
    metrics: { tokenDigest: hashKey('metrics-secret-1'), listen: { host: '127.0.0.1', port: 9464 } },
    stream: { keepaliveMs: 20_000, onDisconnect: 'drain', onTruncated: 'error' },
    timeouts: {
      connectMs: 1000,
      firstByteMs: 2000,
      idleMs: 3000,
      totalMs: 4500,
      drainMs: 2000,
      shutdownMs: 5000,
    },
    bodyLimit: 1_572_864,
    idempotency: { maxEntries: 50, maxBytes: 1_048_576 },
    explorers: new Map([['eip155:8453', 'https://scan.example.com/tx/{tx}']]),
    admin: { keyDigest: hashKey('admin-secret-1'), hosts: ['gateway.internal', '[::1]'] },
  })
})

it('a resolved configuration has every default filled in', () => {
  const directory = temporaryDirectory()
  expect(parseConfig({}, {}, { directory })).toEqual({
    fingerprint: expect.any(Object),
    ignoredKeys: [],
    litellmNotes: [],
    listen: { host: '127.0.0.1', port: 8402 },
    store: `sqlite:${join(directory, 'tollway.db')}`,
    upstream: undefined,
    callers: [],
    payers: new Map(),
    routes: [],
    fallbacks: new Map(),
    router: {
      contextWindowFallbacks: new Map(),
      contentPolicyFallbacks: new Map(),
      aliases: new Map(),
      strategy: 'order',
      numRetries: 0,
      cooldownMs: 5_000,
      allowedFails: 3,
      sessionMs: 3_600_000,
      sessionHeaders: [
        'x-session-id',
        'x-litellm-session-id',
        'x-session-affinity',
        'x-clawrouter-session-id',
        'session_id',
      ],
    },
    keys: undefined,
    budgets: [],
    tags: { header: 'x-tollway-tags', declared: [], open: [] },
    policy: {
      maxMicroUsd: 100_000n,
      maxValiditySeconds: 600,
      maxPriceChange: undefined,
      offerOrder: 'cheapest',
      signIn: false,
      terms: 'remember',
      onChangedTerms: 'fail',
      payTo: new Map(),
    },
    blockPrivateNetworks: false,
    assets: BUILT_IN_ASSETS,
    chains: new Map(),
    reconcile: { intervalMs: 60_000 },
    audit: {
      path: join(directory, 'audit.jsonl'),
      signingKey: undefined,
      checkpointEvery: 1000,
      rotateBytes: 268_435_456,
      rotateDaily: true,
      retain: undefined,
      minFree: 67_108_864,
    },
    log: { level: 'info', format: 'json' },
    metrics: { tokenDigest: undefined, listen: undefined },
    stream: { keepaliveMs: 15_000, onDisconnect: 'abort', onTruncated: 'length' },
    timeouts: {
      connectMs: 10_000,
      firstByteMs: 300_000,
      idleMs: 300_000,
      totalMs: 3_600_000,
      drainMs: 1000,
      shutdownMs: 30_000,
    },
    bodyLimit: 33_554_432,
    idempotency: { maxEntries: 1000, maxBytes: 67_108_864 },
    explorers: new Map(),
    admin: { keyDigest: undefined, hosts: ['localhost', '127.0.0.1', '[::1]'] },
  })
})

it('takes the same shape from a program and from a file', () => {
  const directory = temporaryDirectory()
  const path = configFile('budgets: [{ name: all, limit_usd: "1", window: month }]\n', directory)
  const object = { budgets: [{ name: 'all', limit_usd: '1', window: 'month' }] }
  expect(parseConfig(object, {}, { directory })).toEqual(loadConfig(path, {}))
})

it('a resolved configuration cannot be changed afterwards', () => {
  const config = load(FULL, FULL_ENV)
  const base = config.payers.get('base')
  const frozen = [
    config,
    config.listen,
    config.callers,
    config.callers[0],
    config.routes[0],
    config.budgets[0],
    config.policy,
    base,
    base?.kind === 'direct' ? base.key : undefined,
    config.policy.payTo.get('https://seller.example.com'),
    config.fallbacks.get('paid/*'),
  ]
  expect(frozen.filter((part) => part === undefined || !Object.isFrozen(part))).toEqual([])
})

it('leaves the input of a program as it was', () => {
  const input = { upstream: { api_base: 'http://127.0.0.1:1/v1', allow_paths: ['/assistants'] } }
  const before = structuredClone(input)
  parseConfig(input, {})
  expect(input).toEqual(before)
  expect(Object.isFrozen(input.upstream.allow_paths)).toBe(false)
})

it('keeps neither caller, admin nor wallet keys', () => {
  const config = load(FULL, FULL_ENV)
  const text = JSON.stringify(config, (_key, value: unknown) =>
    value instanceof Map ? [...value.entries()] : typeof value === 'bigint' ? String(value) : value,
  )
  for (const secret of ['caller-secret-1', 'caller-secret-2', 'admin-secret-1', 'wallet-secret-1']) {
    expect(text).not.toContain(secret)
  }
})

it('lets the command line replace the listen address and names itself at fault', () => {
  const path = configFile('listen: 127.0.0.1:8402\n')
  expect(loadConfig(path, {}, { listen: '[::1]:9000' }).listen).toEqual({ host: '::1', port: 9000 })
  expect(() => loadConfig(path, {}, { listen: '0.0.0.0:9000' })).toThrow(
    '--listen: is reachable from other machines, and no callers are set: anyone could spend. ' +
      'Add callers with keys, such as callers: [{ id: me, key: "${env:TOLLWAY_KEY}" }], or listen on 127.0.0.1.',
  )
})
