import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { loadConfig } from '../../src/app/config/load.ts'
import { ConfigProblemsError, type Problem } from '../../src/app/config/values/problems.ts'
import type { ResolvedConfig } from '../../src/app/config/resolve/resolved.ts'
import { newCheckpointKey } from '../../src/io/audit/audit-signer.ts'

/** Signs audit checkpoints. */
export const AUDIT_PEM = newCheckpointKey().pem

/** Values for every reference of {@link FULL}. */
export const FULL_ENV = {
  UPSTREAM_KEY: 'upstream-secret-1',
  CALLER_KEY: 'caller-secret-1',
  OTHER_CALLER_KEY: 'caller-secret-2',
  WALLET_KEY: 'wallet-secret-1',
  SOLANA_KEY: 'solana-secret-1',
  KEYSTORE_PASSWORD: 'keystore-secret-1',
  SIGNER_TOKEN: 'signer-secret-1',
  API_KEY: 'api-secret-1',
  ADMIN_KEY: 'admin-secret-1',
  RPC_KEY: 'rpc-secret-1',
  AUDIT_KEY: AUDIT_PEM,
  METRICS_TOKEN: 'metrics-secret-1',
  NOTIFY_SECRET: 'notify-secret-of-16',
}

/** A configuration that uses every key there is. */
export const FULL = `listen: 127.0.0.1:0
store: sqlite:./ledger/tollway.db
upstream:
  api_base: http://127.0.0.1:4000/v1/
  api_key: "\${env:UPSTREAM_KEY}"
  allow_paths: [/assistants, /threads/*]
callers:
  - id: openclaw
    key: "\${env:CALLER_KEY}"
    models: ["paid/*"]
    expires: "2027-01-31"
    requests_per_minute: 60
    tokens_per_minute: 100000
    max_parallel_requests: 4
    team: search
    budget_usd: ["5/day", "20/24h"]
  - id: other
    key: "\${env:OTHER_CALLER_KEY}"
keys:
  path: ./callers.json
payers:
  base:
    kind: direct
    key: "\${env:WALLET_KEY}"
    networks: [base-sepolia, "eip155:8453", base]
    header: auto
  locked:
    kind: direct
    keystore:
      path: /keys/wallet.json
      password: "\${env:KEYSTORE_PASSWORD}"
    networks: [base]
  shared:
    kind: direct
    agentcash_wallet: /keys/agentcash.json
    networks: [base]
  sol:
    kind: solana
    key: "\${env:SOLANA_KEY}"
    networks: [solana-devnet]
  remote:
    kind: direct
    signer:
      url: http://127.0.0.1:9000
      token: "\${env:SIGNER_TOKEN}"
      address: "0x209693bc6afc0c5328ba36faf03c514ef312287c"
    networks: [base]
  card:
    kind: agentcash
    mode: wallet
    wallet: /var/lib/me/.agentcash/wallet.json
    networks: [base]
  server:
    kind: agentcash
    mode: mcp
    binary: /opt/agentcash/index.js
    home: /var/lib/me
    args: ["--dev"]
    networks: [base]
    concurrency: 3
    timeout_seconds: 20
  pool:
    kind: obol
    mode: pool
    config: ./buyer-config
    auths: ./buyer-auths
    state: ./state/consumed.json
    reload_seconds: 10
    max_vouchers: 2500
    max_exposure_usd: "50.00"
    max_age_days: 30
    user_agent: my-buyer/1.0
  ahead:
    kind: obol
    mode: pool
    filled_by: base
  sidecar:
    kind: obol
    mode: sidecar
    url: http://127.0.0.1:8404/
    remote_model: qwen3.5:9b
    shim: 127.0.0.1:8403
    networks: [base, base]
    concurrency: 2
    max_validity_seconds: 3600
    timeout_seconds: 5
model_list:
  - model_name: "paid/*"
    model: "*"
    api_base: https://Seller.example.com/v1/
    payer: base
    order: 2
    weight: 3
    max_parallel_requests: 8
    max_retries: 1
    drop_params: [store]
    catalogue: true
    paid_endpoints: [/chat/completions, /v1/messages]
    pin:
      network: base-sepolia
      asset: "0x036cbd53842c5426634e7929541ec2318f3dcf7e"
      pay_to: ["0x209693bc6afc0c5328ba36faf03c514ef312287c"]
    reduce_max_tokens: 256
    default_max_tokens: 4096
    send_traceparent: true
    terms: ask
    on_changed_terms: pay_again
    provider: example
    payment_header: both
    on_disconnect: abort
    always_stream: true
    early_keepalive: true
    events_per_second: 50
    when:
      callers: [openclaw]
      headers:
        X-Tier: premium
    timeouts:
      connect_seconds: 5
      first_byte_seconds: 6
      idle_seconds: 7
      total_seconds: 8
    model_info:
      context_window: 128000
      max_output_tokens: 16384
      usd_per_request: "0.002"
      input_usd_per_token: "0.0000025"
      output_usd_per_token: "0.00001"
      reasoning_usd_per_token: "0.00002"
      cached_input_usd_per_token: "0.00000125"
      cache_write_usd_per_token: "0.000003125"
      input_usd_per_image: "0.001"
      output_usd_per_image: "0.04"
      input_usd_per_second: "0.0001"
      output_usd_per_second: "0.0002"
  - model_name: local-llama
    api_base: http://127.0.0.1:11434/v1
    api_key: "\${env:API_KEY}"
router:
  fallbacks:
    - "paid/*": [local-llama]
  context_window_fallbacks:
    - local-llama: [paid/long]
  content_policy_fallbacks:
    - "paid/*": [local-llama]
  aliases:
    fast: paid/qwen
  strategy: weighted
  num_retries: 2
  cooldown_seconds: 2.5
  allowed_fails: 1
  session_affinity:
    seconds: 60
    headers: [X-Session-Id]
notify:
  url: https://ops.example.com/hook
  secret: "\${env:NOTIFY_SECRET}"
  at: [0.5, "0.8", 1]
  page: https://tollway.example.com/dashboard
budgets:
  - name: all
    limit_usd: "5.00"
    window: day
    timezone: Europe/Berlin
  - name: each
    per: caller
    limit_usd: "1"
    soft_usd: "0.75"
    window: 24h
  - name: obol
    limit: "1000000000000000000"
    asset: OBOL
    window: month
    enforce: false
    alert: warning
  - name: sessions
    per: tag.session
    limits: { "prod-*": "0.50", default: "0.10" }
    window: day
    match:
      model: "paid/opus*"
      caller: [openclaw]
  - name: tokens
    limit_tokens: 1000
    window: hour
  - name: requests
    limit_requests: 10
    window: hour
    when_exhausted:
      route_to: local-llama
tags:
  header: X-Team
  declared: ["team:search", "agent:main"]
  open: [session]
policy:
  approve_above_usd: "2.00"
  approval_seconds: 120
  max_usd_per_request: "0.25"
  require_price: false
  max_validity_seconds: 120
  max_price_change: "0.25"
  offer_order: seller
  sign_in: true
  terms: ask
  on_changed_terms: pay_again
  block_private_networks: true
  sellers:
    https://seller.example.com:
      pay_to: ["0x209693Bc6afc0C5328bA36FaF03C514EF312287C"]
assets:
  - network: mainnet
    address: "0x0B010000b7624eb9B3DfBC279673C76E9D29D5F7"
    symbol: OBOL
    decimals: 18
    usd: "0.05"
    name: Obol Network
    methods: [permit2]
    version: "1"
  - network: solana-devnet
    address: US517G5965aydkZ46HS38QLi7UQiSojurfbQfKCELFx
    symbol: TEST
    decimals: 6
    program: token-2022
chains:
  solana-devnet:
    rpc: http://127.0.0.1:8899
  base-sepolia:
    rpc: "https://rpc.example.com/\${env:RPC_KEY}"
    finality: safe
  "eip155:8453":
    rpc: http://127.0.0.1:8545
reconcile:
  interval_seconds: 30
metrics:
  token: "\${env:METRICS_TOKEN}"
  listen: 127.0.0.1:9464
audit:
  path: ./log/audit.jsonl
  signing_key: "\${env:AUDIT_KEY}"
  checkpoint_every: 50
  rotate_bytes: 2mb
  rotate_daily: true
  retain: 7
  min_free: 32mb
log:
  level: debug
  format: text
stream:
  keepalive_seconds: 20
  on_truncated: error
  on_disconnect: drain
timeouts:
  connect_seconds: 1
  first_byte_seconds: 2
  idle_seconds: 3
  total_seconds: 4.5
  shutdown_seconds: 5
  drain_seconds: 2
body_limit: 1.5mb
idempotency:
  max_entries: 50
  max_bytes: 1mb
explorers: { base: 'https://scan.example.com/tx/{tx}' }
admin:
  key: "\${env:ADMIN_KEY}"
  hosts: [Gateway.internal, "[::1]"]
`

/** A directory that is gone when the test is over. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'tollway-config-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** Writes `tollway.yaml` into a directory of its own and gives its path. */
export function configFile(text: string | Uint8Array, directory: string = temporaryDirectory()): string {
  const path = join(directory, 'tollway.yaml')
  writeFileSync(path, text)
  return path
}

/** Loads a YAML text as a file. */
export function load(text: string, env: Readonly<Record<string, string>> = {}): ResolvedConfig {
  return loadConfig(configFile(text), env)
}

/** The problems a function throws, or a failure when it throws none. */
export function problemsIn(act: () => unknown): readonly Problem[] {
  try {
    act()
  } catch (error) {
    if (error instanceof ConfigProblemsError) return error.problems
    throw error
  }
  throw new Error('the configuration was accepted')
}

/** What is wrong with a YAML text, as `line:column path: message`. */
export function mistakesOf(text: string | Uint8Array, env: Readonly<Record<string, string>> = {}): string[] {
  const path = configFile(text)
  return problemsIn(() => loadConfig(path, env)).map((problem) => {
    const at = problem.position === undefined ? '' : `${problem.position.line}:${problem.position.column} `
    return `${at}${problem.path}: ${problem.message}`.replaceAll(path, 'FILE')
  })
}
