/** Checks that involve several parts of a configuration. */
import { checkAssets, checkChains, checkSolana, checkTokens } from './chain-checks.ts'
import { ANY_PAYEE } from '../../../core/policy/payees.ts'
import { ConfigError } from '../../../core/errors.ts'
import { compileRoutes, type Route } from '../../../core/routing/route.ts'
import { hashKey } from '../../../io/callers/hash-key.ts'
import { nearestName, unknownValue } from '../../../io/names/nearest-name.ts'
import { isLoopbackHost, isOrigin, parseApiBase, parseListen } from '../values/addresses.ts'
import { checkBudgets } from './budget-checks.ts'
import { checkMetrics } from './metrics-checks.ts'
import type { RouteFinding } from '../reading/explain.ts'
import { isPlainObject } from '../reading/interpolate.ts'
import { checkRouter } from './router-checks.ts'
import { items, type Fields, type Item } from './config-item.ts'

/**
 * Runs on values that may have failed the schema, so that every mistake in a file is listed at once: values of an
 * unexpected form are skipped here and reported there.
 * @param value the configuration with its references resolved
 * @param written the configuration before that; only its texts may be repeated in messages
 * @param ownPayers names of payers that the program brings itself
 */
export function crossCheck(
  value: unknown,
  written: unknown,
  ownPayers: readonly string[] = [],
): RouteFinding[] {
  const config = isPlainObject(value) ? value : {}
  const raw = isPlainObject(written) ? written : {}
  return [
    ...checkListen(config),
    ...checkMetrics(config),
    ...checkCallers(config),
    ...checkFilledBy(config),
    ...checkSolana(config),
    ...checkTokens(config),
    ...checkRoutes(config, ownPayers),
    ...checkRouter(config, items(config, 'model_list'), items(config, 'callers'), namesOf(raw)),
    ...checkUnique(items(config, 'budgets'), 'name', 'Budget names must be unique.'),
    ...checkBudgets(config),
    ...checkCeiling(config, ownPayers),
    ...checkSellers(config),
    ...checkAssets(config),
    ...checkChains(config),
    ...checkAudit(config),
  ]
}

function checkListen(config: Fields): RouteFinding[] {
  const address = typeof config['listen'] === 'string' ? parseListen(config['listen']) : undefined
  if (address === undefined || isLoopbackHost(address.host)) return []
  const callers = config['callers']
  if (config['keys'] !== undefined) return []
  if (callers !== undefined && (!Array.isArray(callers) || callers.length > 0)) return []
  return [
    {
      path: ['listen'],
      message:
        'is reachable from other machines, and no callers are set: anyone could spend. ' +
        'Add callers with keys, such as callers: [{ id: me, key: "${env:TOLLWAY_KEY}" }], or listen on 127.0.0.1.',
    },
  ]
}

function checkCallers(config: Fields): RouteFinding[] {
  const callers = items(config, 'callers')
  const findings = checkUnique(callers, 'id', 'Caller ids must be unique.')
  const seen = new Map<string, number>()
  for (const [index, { path, fields }] of callers.entries()) {
    const key = fields['key']
    // An unresolved reference is still as written, and comparing two of those says nothing about the keys.
    if (typeof key !== 'string' || key.includes('${')) continue
    const digest = hashKey(key)
    const first = seen.get(digest)
    if (first === undefined) seen.set(digest, index)
    else
      findings.push({
        path: [...path, 'key'],
        message: `is the same key as callers[${first}].key. Give each caller its own.`,
      })
  }
  return findings
}

/** A payer that refills a pool needs a key to sign with. */
function checkFilledBy(config: Fields): RouteFinding[] {
  const payers = isPlainObject(config['payers']) ? config['payers'] : {}
  return Object.entries(payers).flatMap(([name, entry]): RouteFinding[] => {
    const signer = isPlainObject(entry) ? entry['filled_by'] : undefined
    if (typeof signer !== 'string') return []
    const found = payers[signer]
    const path = ['payers', name, 'filled_by']
    if (!Object.hasOwn(payers, signer) || !isPlainObject(found)) {
      return [{ path, message: unknownValue('payer', signer, Object.keys(payers)) }]
    }
    const { kind, mode } = found
    if (kind === 'direct' || (kind === 'agentcash' && (mode === undefined || mode === 'wallet'))) return []
    return [{ path, message: 'is a payer that cannot sign in advance. Choose one of kind direct.' }]
  })
}

const PAID_ONLY = [
  'paid_endpoints',
  'send_traceparent',
  'terms',
  'on_changed_terms',
  'payment_header',
  'pin',
  'user_agent',
]

function checkRoutes(config: Fields, ownPayers: readonly string[]): RouteFinding[] {
  const payers = [...(isPlainObject(config['payers']) ? Object.keys(config['payers']) : []), ...ownPayers]
  return items(config, 'model_list').flatMap(({ path, fields }): RouteFinding[] => {
    const findings: RouteFinding[] = []
    const payer = fields['payer']
    for (const key of PAID_ONLY) {
      if (payer === undefined && fields[key] !== undefined && fields[key] !== false) {
        findings.push({
          path: [...path, key],
          message: 'is for paid routes only. Name a payer, or remove it.',
        })
      }
    }
    if (payer !== undefined && fields['api_key'] !== undefined) {
      findings.push({
        path: [...path, 'api_key'],
        message: 'cannot be combined with payer: a route is either paid or keyed. Remove one of the two.',
      })
    }
    if (typeof payer === 'string' && !payers.includes(payer)) {
      findings.push({ path: [...path, 'payer'], message: unknownValue('payer', payer, payers) })
    }
    const base = typeof fields['api_base'] === 'string' ? parseApiBase(fields['api_base']) : undefined
    if (payer !== undefined && base !== undefined && 'url' in base) {
      if (base.url.protocol === 'http:' && !isLoopbackHost(base.url.hostname)) {
        findings.push({
          path: [...path, 'api_base'],
          message:
            'is plain http to another machine, and a signed payment would be sent unencrypted. Use https.',
        })
      }
    }
    if (takesMissingStar(fields)) {
      findings.push({
        path: [...path, 'model'],
        message: "has a *, and model_name has none to take it from. Write the seller's model name.",
      })
    }
    return findings
  })
}

/** Whether `compileRoutes` would refuse the entry, so that it can be reported without repeating the names. */
function takesMissingStar(fields: Fields): boolean {
  const route = routeOf(fields)
  if (route?.model === undefined) return false
  try {
    compileRoutes([route])
    return false
  } catch (error) {
    if (error instanceof ConfigError) return true
    throw error
  }
}

/** Without a ceiling the seller would decide the price; vouchers are limited to the price they were signed for. */
function checkCeiling(config: Fields, ownPayers: readonly string[]): RouteFinding[] {
  const policy = isPlainObject(config['policy']) ? config['policy'] : {}
  if (policy['max_usd_per_request'] !== 'none') return []
  const payers = isPlainObject(config['payers']) ? Object.values(config['payers']) : []
  const signs =
    ownPayers.length > 0 ||
    payers.some((payer) => !(isPlainObject(payer) && payer['kind'] === 'obol' && payer['mode'] === 'pool'))
  return signs
    ? [
        {
          path: ['policy', 'max_usd_per_request'],
          message: 'is none, but a payer would then sign any price. Set a ceiling, such as "0.10".',
        },
      ]
    : []
}

/**
 * A seller without a paid route is a typo in the origin: its payees would silently not be pinned. One that may name any payee
 * loses nothing, and `tollway pay` and `tollway buy` pay sellers that no route has.
 */
function checkSellers(config: Fields): RouteFinding[] {
  const policy = config['policy']
  const sellers =
    isPlainObject(policy) && isPlainObject(policy['sellers']) ? Object.entries(policy['sellers']) : []
  const paid = new Set(
    items(config, 'model_list').flatMap(({ fields }) => {
      const base =
        fields['payer'] !== undefined && typeof fields['api_base'] === 'string'
          ? parseApiBase(fields['api_base'])
          : undefined
      return base !== undefined && 'url' in base ? [base.url.origin] : []
    }),
  )
  return sellers
    .filter(([seller]) => isOrigin(seller) && !paid.has(seller))
    .filter(([seller, entry]) => !allowsAnyPayee(entry) || nearestName(seller, [...paid]) !== undefined)
    .map(([seller]) => ({
      path: ['policy', 'sellers', seller],
      message:
        'unknown seller: no paid route has this origin, so the entry would protect nothing. ' +
        meantOrigin(seller, [...paid]),
    }))
}

function allowsAnyPayee(entry: unknown): boolean {
  return isPlainObject(entry) && entry['pay_to'] === ANY_PAYEE
}

function meantOrigin(seller: string, paid: readonly string[]): string {
  const near = nearestName(seller, paid)
  return near === undefined
    ? 'Compare it with the api_base of your paid routes, or remove it.'
    : `Did you mean "${near}"?`
}

function checkUnique(list: readonly Item[], key: string, advice: string): RouteFinding[] {
  const seen = new Map<string, string>()
  return list.flatMap(({ path, fields }): RouteFinding[] => {
    const value = fields[key]
    if (typeof value !== 'string') return []
    const first = seen.get(value)
    if (first !== undefined) return [{ path: [...path, key], message: `is the same as ${first}. ${advice}` }]
    seen.set(value, `${path[0]}[${path[1]}].${key}`)
    return []
  })
}

function checkAudit(config: Fields): RouteFinding[] {
  const audit = config['audit']
  if (!isPlainObject(audit) || audit['retain'] === undefined || audit['signing_key'] !== undefined) return []
  return [
    {
      path: ['audit', 'retain'],
      message:
        'needs signing_key: without a signature, deleted files cannot be told apart from records that were cut off. ' +
        'Make a key with tollway audit key --new, or remove retain.',
    },
  ]
}

function namesOf(raw: Fields): string[] {
  return items(raw, 'model_list').flatMap(({ fields }) =>
    typeof fields['model_name'] === 'string' ? [fields['model_name']] : [],
  )
}

function routeOf(fields: Fields): Route | undefined {
  const { model_name: modelName, model } = fields
  if (typeof modelName !== 'string') return undefined
  return {
    modelName,
    model: typeof model === 'string' ? model : undefined,
    apiBase: '',
    payer: undefined,
    apiKey: undefined,
    order: 0,
  }
}
