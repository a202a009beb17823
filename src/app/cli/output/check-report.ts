import { visibleLine } from '../../../core/visible.ts'
import { findNetwork } from '../../../core/money/assets.ts'
import { matchesBudget } from '../../../core/budget/budget-match.ts'
import type { BudgetRule } from '../../../core/budget/budget.ts'
import { DEFAULT_SUBJECT } from '../../../core/budget/subject-limits.ts'
import type { Route } from '../../../core/routing/route.ts'
import { formatMoney } from '../../../core/budget/budget-messages.ts'
import { formatLevel } from '../../../core/budget/notice-level.ts'
import { formatUsd } from '../../../core/money/money.ts'
import { formatWindow } from '../../../core/budget/window.ts'
import type { LoadedConfig } from '../../config/load.ts'
import type { FilesInspection } from '../../obol/inspect-files.ts'
import { callerRules, routerRules, routeRules, routingNotes } from './check-routing.ts'
import { renderUpstreams } from './check-upstreams.ts'
import { explorerNotes, payerRules, renderPayers } from './check-payers.ts'
import { renderTable } from './table.ts'

/** What one route would do. Texts are as written in the file: a reference to a secret is shown, never the secret. */
interface RouteSummary {
  readonly model_name: string
  /** The model name sent to the seller; `null` for the client's own. */
  readonly remote_model: string | null
  readonly api_base: string
  /** `null` for a route that is not paid. */
  readonly payer: string | null
  /** CAIP-2. */
  readonly networks: readonly string[]
  /** Whether a bearer key is sent. */
  readonly keyed: boolean
  /** Names of the budgets that a payment counts against. */
  readonly budgets: readonly string[]
}

/**
 * What a configuration would do, as `tollway check --json` prints it.
 * @param files what the files of voucher pools hold, if there are any
 */
export function summarize({ config, written }: LoadedConfig, files?: FilesInspection) {
  const text = (...path: (string | number)[]): string | null => {
    const value = written(path)
    return typeof value === 'string' ? value : null
  }
  const budgets = config.budgets.map((budget, index) => ({
    name: text('budgets', index, 'name') ?? budget.name,
    per: budget.per ?? null,
    ...(budget.asset === undefined
      ? { limit_usd: formatUsd(budget.limit) }
      : { limit: budget.limit.toString(), asset: budget.asset.symbol }),
    soft_usd: budget.soft === undefined ? null : formatUsd(budget.soft),
    window: formatWindow(budget),
    timezone: budget.timezone,
    enforce: budget.enforce !== false,
    ...(budget.limits === undefined ? {} : { limits: subjectLimits(budget) }),
    ...(budget.match === undefined ? {} : { match: Object.fromEntries(budget.match) }),
  }))
  const routes = config.routes.map((route, index): RouteSummary => {
    const payer = route.payer === undefined ? undefined : config.payers.get(route.payer)
    return {
      model_name: text('model_list', index, 'model_name') ?? '',
      remote_model: text('model_list', index, 'model'),
      api_base: text('model_list', index, 'api_base') ?? '',
      payer: text('model_list', index, 'payer'),
      networks: payer?.networks ?? [],
      keyed: route.apiKey !== undefined,
      budgets:
        payer === undefined
          ? []
          : budgets.filter((_, at) => mayCount(config.budgets[at], route)).map(({ name }) => name),
      ...routeRules(route, config),
    }
  })
  return {
    listen: text('listen') ?? `${config.listen.host}:${config.listen.port}`,
    store: text('store') ?? 'sqlite:./tollway.db',
    upstream: text('upstream', 'api_base'),
    callers: config.callers.length,
    caller_list: callerRules(config),
    router: routerRules(config),
    ignored_keys: config.ignoredKeys,
    litellm_notes: config.litellmNotes,
    max_usd_per_request: config.policy.maxMicroUsd === 'none' ? null : formatUsd(config.policy.maxMicroUsd),
    /** Its address may hold a secret. */
    ...(config.notify && {
      notify: { host: new URL(config.notify.url).host, at: config.notify.levels.map(formatLevel) },
    }),
    metrics: {
      listen: text('metrics', 'listen'),
      /** Whether reading the metrics requires a token. */
      token: config.metrics.tokenDigest !== undefined,
    },
    payers: payerRules(config),
    routes,
    // x402-buyer's files change while the gateway runs; these are their current contents.
    ...(files ? { upstreams: files.upstreams, upstream_problems: files.problems } : {}),
    budgets,
  }
}

/** The same for people. */
export function renderCheck(file: string, loaded: LoadedConfig, files?: FilesInspection): string {
  const summary = summarize(loaded, files)
  const facts = [
    ['listen', summary.listen],
    ['store', summary.store],
    ['callers', callersOf(loaded.config)],
    ['other models', summary.upstream ?? 'refused (no upstream)'],
    [
      'ceiling',
      summary.max_usd_per_request === null
        ? 'none; each voucher has its own price'
        : `${dollars(summary.max_usd_per_request)} per request`,
    ],
    ...(summary.notify
      ? [['notify', `${summary.notify.host}, at ${summary.notify.at.join(', ')} of a budget`]]
      : []),
    [
      'metrics',
      `${summary.metrics.listen ?? summary.listen}/metrics, ${summary.metrics.token ? 'with a token' : 'open to anyone who can reach it'}`,
    ],
  ]
  const routes = summary.routes.map((route) => [
    route.model_name,
    route.remote_model ?? '(unchanged)',
    route.api_base,
    route.payer ?? (route.keyed ? '- (key)' : '-'),
    route.networks.map(aliasOf).join(', ') || '-',
    route.budgets.join(', ') || '-',
  ])
  const budgets = summary.budgets.map((budget, index) => [
    budget.name,
    limitOf(loaded.config.budgets[index]),
    budget.window,
    loaded.config.budgets[index]?.window === 'rolling' ? '-' : budget.timezone,
    budget.per ?? '-',
    [
      ...(budget.soft_usd === null ? [] : [`soft limit ${dollars(budget.soft_usd)}`]),
      ...(budget.enforce ? [] : ['not enforced']),
      ...(budget.limits === undefined ? [] : [limitsText(budget.limits)]),
      ...(budget.match === undefined ? [] : [`only ${matchText(budget.match)}`]),
    ].join(', '),
  ])
  const notes = [...routingNotes(loaded.config, Date.now()), ...explorerNotes(loaded.config)]
  const unlimited = summary.budgets.length === 0 && summary.routes.some((route) => route.payer !== null)
  return [
    `${file} is valid.\n`,
    facts.map(([name = '', value = '']) => `${name.padEnd(13)} ${visibleLine(value)}\n`).join(''),
    routes.length === 0 && !files
      ? 'No routes.\n'
      : routes.length === 0
        ? ''
        : renderTable(['MODEL', 'REMOTE MODEL', 'API BASE', 'PAYER', 'NETWORKS', 'BUDGETS'], routes),
    ...(files ? [renderUpstreams(files)] : []),
    ...(loaded.config.payers.size === 0 ? [] : [renderPayers(loaded.config)]),
    ...(budgets.length === 0
      ? []
      : [renderTable(['BUDGET', 'LIMIT', 'WINDOW', 'TIME ZONE', 'PER', ''], budgets)]),
    ...(notes.length === 0 ? [] : [notes.map((note) => `${note}\n`).join('')]),
    ...(unlimited
      ? ['Note: there are paid routes but no budgets. Only the ceiling per request limits spending.\n']
      : []),
  ].join('\n')
}

function callersOf({ callers, keys }: LoadedConfig['config']): string {
  if (keys)
    return callers.length === 0 ? 'those in the keys file' : `${callers.length}, and those in the keys file`
  return callers.length === 0 ? 'anyone who can reach the address' : String(callers.length)
}

/** Whether a payment of a route may count against a budget, by what is known of it before a request comes. */
function mayCount(budget: BudgetRule | undefined, { modelName, payer = '', apiBase }: Route): boolean {
  const known = new Map([...(budget?.match ?? [])].filter(([key]) => STATIC_KEYS.has(key)))
  const seller = new URL(apiBase).origin
  return matchesBudget(known, { caller: '', route: modelName, payer, seller, tags: [] })
}

const STATIC_KEYS: ReadonlySet<string> = new Set(['route', 'payer', 'seller'])

/** Limits by subject, as they are written. */
function subjectLimits({ limits = [], limit, namedOnly }: BudgetRule): Record<string, string> {
  return {
    ...Object.fromEntries(limits.map((one) => [one.subject, formatUsd(one.limit)])),
    ...(namedOnly === true ? {} : { [DEFAULT_SUBJECT]: formatUsd(limit) }),
  }
}

function limitsText(limits: Readonly<Record<string, string>>): string {
  const named = Object.entries(limits).filter(([subject]) => subject !== DEFAULT_SUBJECT)
  const shown = named.slice(0, 5).map(([subject, limit]) => `${subject} ${dollars(limit)}`)
  const more = named.length > shown.length ? [`${named.length - shown.length} more`] : []
  return [...shown, ...more, ...(limits[DEFAULT_SUBJECT] === undefined ? ['nobody else'] : [])].join(', ')
}

function matchText(match: Readonly<Record<string, readonly string[]>>): string {
  return Object.entries(match)
    .map(([key, names]) => `${key} ${names.join(' or ')}`)
    .join(' and ')
}

function limitOf(budget: BudgetRule | undefined): string {
  if (budget === undefined) return ''
  return budget.asset === undefined
    ? dollars(formatUsd(budget.limit))
    : formatMoney(budget.limit, budget.asset)
}

/** `$5.00` for `5`: at least two decimals, as people write money. */
function dollars(usd: string): string {
  const [whole = '0', fraction = ''] = usd.split('.')
  return `$${whole}.${fraction.padEnd(2, '0')}`
}

function aliasOf(id: string): string {
  return findNetwork(id)?.alias ?? id
}
