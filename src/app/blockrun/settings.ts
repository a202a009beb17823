/** Turns the environment variables of blockrun-openclaw-proxy into a configuration. */
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { ConfigError } from '../../core/errors.ts'
import { parseUsd } from '../../core/money/money.ts'
import { ConfigProblemsError } from '../config/values/problems.ts'
import type { Environment } from '../config/values/secrets.ts'

/** The models that the proxy sells by default. */
const MODELS: readonly string[] = [
  'google/gemini-3-flash-preview',
  'openai/gpt-5.4-mini',
  'openai/gpt-5.4-nano',
  'anthropic/claude-haiku-4.5',
  'deepseek/deepseek-chat',
  'xai/grok-4.3',
]

const CHAT_PATH = '/chat/completions'

/** The settings read from the variables. */
export interface BlockrunSettings {
  readonly host: string
  readonly port: string
  /** `BLOCKRUN_CHAT_URL` as given. */
  readonly chatUrl: string
  readonly dryRun: boolean
  readonly models: readonly string[]
  /** Decimal strings, USD. */
  readonly dailyBudgetUsd: string
  readonly maxUsdPerRequest: string
  readonly network: string
  readonly timeoutSeconds: number
  /** Whether the key is in `X402_PRIVATE_KEY`, as AgentCash takes it. */
  readonly keyInEnvironment: boolean
  /** Our own files: the ledger and the audit file. */
  readonly ledgerPath: string
  readonly auditPath: string
  /** `BLOCKRUN_AUDIT_LOG`: written in that proxy's form. */
  readonly originalLogPath: string
}

/**
 * Reads the variables. Unset and empty ones get the proxy's defaults.
 * @throws ConfigError that names the variable
 */
export function blockrunSettings(env: Environment, home: string = homedir()): BlockrunSettings {
  const text = (name: string, standard: string): string => {
    const value = env[name]
    return value === undefined || value === '' ? standard : value
  }
  const usd = (name: string, standard: string): string => {
    const value = text(name, standard)
    if (parseUsd(value) !== undefined) return value
    throw new ConfigError(`${name} must be an amount in USD with at most 6 decimals, such as 0.25.`)
  }
  const chatUrl = text('BLOCKRUN_CHAT_URL', `https://blockrun.ai/api/v1${CHAT_PATH}`)
  if (!URL.canParse(chatUrl) || !chatUrl.endsWith(CHAT_PATH)) {
    throw new ConfigError(`BLOCKRUN_CHAT_URL must be a URL that ends in ${CHAT_PATH}.`)
  }
  const timeoutMs = Number(text('BLOCKRUN_TIMEOUT_MS', '180000'))
  if (!Number.isInteger(timeoutMs) || timeoutMs < 1000 || timeoutMs > 86_400_000) {
    throw new ConfigError('BLOCKRUN_TIMEOUT_MS must be whole milliseconds from 1000 to 86400000.')
  }
  const expand = (path: string): string => (path.startsWith('~/') ? join(home, path.slice(2)) : path)
  const directory = join(home, '.openclaw', 'blockrun-proxy')
  const files = text('BLOCKRUN_LEDGER_FILE', join(directory, 'ledger.json'))
  const audits = text('BLOCKRUN_AUDIT_LOG', join(directory, 'audit.jsonl'))
  return {
    host: text('HOST', '127.0.0.1'),
    port: text('PORT', '8787'),
    chatUrl,
    dryRun: env['BLOCKRUN_DRY_RUN'] === '1',
    models: text('BLOCKRUN_MODELS', MODELS.join(','))
      .split(',')
      .map((model) => model.trim())
      .filter((model) => model !== ''),
    dailyBudgetUsd: usd('BLOCKRUN_DAILY_BUDGET_USD', '1.00'),
    maxUsdPerRequest: usd('BLOCKRUN_MAX_USD_PER_REQUEST', '0.05'),
    network: text('BLOCKRUN_PAYMENT_NETWORK', 'base'),
    timeoutSeconds: timeoutMs / 1000,
    keyInEnvironment: text('X402_PRIVATE_KEY', '') !== '',
    // Next to the proxy's files, not in them: the formats differ, and the proxy may still be running.
    ledgerPath: join(dirname(expand(files)), 'tollway.db'),
    auditPath: join(dirname(expand(audits)), 'tollway-audit.jsonl'),
    originalLogPath: expand(audits),
  }
}

/**
 * The configuration for these settings, in the shape of the YAML file.
 * @param dryRunBase where a dry run's completions come from; `undefined` to pay BlockRun
 */
export function blockrunConfig(settings: BlockrunSettings, dryRunBase: string | undefined): object {
  const networks = [settings.network]
  const payer = settings.keyInEnvironment
    ? { kind: 'direct', key: '${env:X402_PRIVATE_KEY}', networks }
    : { kind: 'agentcash', mode: 'wallet', networks }
  const route = dryRunBase
    ? { api_base: dryRunBase }
    : { api_base: settings.chatUrl.slice(0, -CHAT_PATH.length), payer: 'blockrun', catalogue: true }
  return {
    listen: `${settings.host}:${settings.port}`,
    store: `sqlite:${settings.ledgerPath}`,
    audit: { path: settings.auditPath },
    ...(dryRunBase ? {} : { payers: { blockrun: payer } }),
    model_list: settings.models.map((model) => ({ model_name: model, ...route })),
    budgets: [{ name: 'daily', limit_usd: settings.dailyBudgetUsd, window: 'day' }],
    policy: { max_usd_per_request: settings.maxUsdPerRequest },
    timeouts: { total_seconds: settings.timeoutSeconds },
  }
}

/** The variable behind each part of {@link blockrunConfig}. */
const VARIABLES: readonly (readonly [RegExp, string])[] = [
  [/^listen$/, 'HOST or PORT'],
  [/^store$/, 'BLOCKRUN_LEDGER_FILE'],
  [/^audit\b/, 'BLOCKRUN_AUDIT_LOG'],
  [/^payers\.blockrun\.networks\b/, 'BLOCKRUN_PAYMENT_NETWORK'],
  [/^payers\.blockrun\.key$/, 'X402_PRIVATE_KEY'],
  [/^model_list\[\d+\]\.api_base$/, 'BLOCKRUN_CHAT_URL'],
  [/^model_list\b/, 'BLOCKRUN_MODELS'],
  [/^budgets\b/, 'BLOCKRUN_DAILY_BUDGET_USD'],
  [/^policy\b/, 'BLOCKRUN_MAX_USD_PER_REQUEST'],
  [/^timeouts\b/, 'BLOCKRUN_TIMEOUT_MS'],
]

/**
 * Resolves a configuration made by {@link blockrunConfig}; mistakes are reported under their variable.
 * @throws ConfigProblemsError that names the variables
 */
export function byVariable<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof ConfigProblemsError)) throw error
    const named = error.problems.map((problem) => {
      const [, variable] = VARIABLES.find(([pattern]) => pattern.test(problem.path)) ?? []
      return variable === undefined ? problem : { ...problem, path: variable }
    })
    throw new ConfigProblemsError(named)
  }
}
