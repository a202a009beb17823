/** The models that a gateway offers by name, for programs that want a list: its routes, its pools, and what sellers list. */
import { z } from 'zod'
import { ConfigError } from '../../core/errors.ts'
import { capture, fillStars, parsePattern } from '../../core/name-pattern.ts'
import { compileRoutes, type Route } from '../../core/routing/route.ts'
import { nearestName } from '../../io/names/nearest-name.ts'
import { NoLedgerError } from '../../io/store/no-ledger.ts'
import { readPurchases } from '../buying/read-purchases.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { httpGet, type Got } from '../operations/http-get.ts'
import { inspectFiles } from '../obol/inspect-files.ts'

/** What a gateway offers. */
export interface GatewayModels {
  /** Exact names, without repetition: those of the routes, then of pools, then what sellers list. */
  readonly names: readonly string[]
  /** Patterns whose sellers gave no list. */
  readonly unlisted: readonly string[]
}

type Get = (url: string) => Promise<Got>

/** More than a person chooses from. */
const MAX_LISTED = 200

const LIST = z.looseObject({ data: z.array(z.looseObject({ id: z.string().min(1).max(256) })) })

/**
 * @param isOnline whether sellers behind a pattern are asked for their list, unpaid
 * @param now milliseconds since the epoch
 * @param get reads an address; replaced in tests
 */
export async function gatewayModels(
  config: ResolvedConfig,
  isOnline: boolean,
  now: number,
  get: Get = httpGet,
): Promise<GatewayModels> {
  const named = config.routes.filter(({ modelName }) => !isPattern(modelName))
  const patterns = config.routes.filter(({ modelName }) => isPattern(modelName))
  const listed = await Promise.all(
    patterns.map(async (route) => ({ route, names: isOnline ? await listOf(route, get) : [] })),
  )
  return {
    names: [
      ...new Set([
        ...named.map(({ modelName }) => modelName),
        ...(await pooled(config, now)),
        ...listed.flatMap(({ names }) => names),
      ]),
    ],
    unlisted: [
      ...new Set(listed.filter(({ names }) => names.length === 0).map(({ route }) => route.modelName)),
    ],
  }
}

/**
 * Refuses a model that the gateway would answer with `model_not_found`, or that the seller behind its pattern does not list.
 * @throws ConfigError with the names that are near
 */
export function assertServed(
  model: string,
  { routes, router, upstream }: Pick<ResolvedConfig, 'routes' | 'router' | 'upstream'>,
  { names, unlisted }: GatewayModels,
): void {
  if (names.includes(model) || upstream) return
  const table = compileRoutes(
    routes.map((route) => ({ ...route, when: undefined })),
    new Map(),
    { aliases: router.aliases },
  )
  const resolved = table.resolve(model)
  if (names.includes(resolved)) return
  const through = table.match(resolved)
  if (!resolved.includes('*') && through.some(({ route }) => unlisted.includes(route.modelName))) return
  const near = nearestName(model, names)
  const known =
    names.length === 0
      ? ''
      : ` The gateway offers ${names.slice(0, 10).join(', ')}${names.length > 10 ? ', …' : ''}.`
  throw new ConfigError(
    `No route of the gateway serves "${model}"; nothing was written.${near === undefined ? known : ` Did you mean "${near}"?`}`,
  )
}

function isPattern(name: string): boolean {
  return name.includes('*')
}

/** The seller's list, under the names that clients use. A seller that wants a key is not asked: the key is not read for this. */
async function listOf({ modelName, model = modelName, apiBase, apiKey }: Route, get: Get): Promise<string[]> {
  if (apiKey !== undefined) return []
  const got = await get(`${apiBase}/models`)
  if ('failure' in got || got.status !== 200) return []
  const list = LIST.safeParse(asJson(got.body))
  if (!list.success) return []
  return list.data.data.slice(0, MAX_LISTED).flatMap(({ id }) => {
    const stars = capture(parsePattern(model), id)
    return stars === undefined || isPattern(id) ? [] : [fillStars(modelName, stars)]
  })
}

/** The models of vouchers, from x402-buyer's files and from purchases. */
async function pooled(config: ResolvedConfig, now: number): Promise<string[]> {
  const pools = [...config.payers.values()].some((payer) => payer.kind === 'obol' && payer.mode === 'pool')
  if (!pools) return []
  const { upstreams } = await inspectFiles(config, now)
  return [...upstreams.map(({ model }) => model), ...(await purchased(config, now))]
}

async function purchased(config: ResolvedConfig, now: number): Promise<string[]> {
  try {
    const purchases = await readPurchases(config, now)
    return purchases.flatMap(({ purchase: { model } }) => (model === '' ? [] : [`paid/${model}`]))
  } catch (error) {
    // Nothing was bought on a ledger that is not there, or is kept in memory.
    if (error instanceof NoLedgerError || error instanceof ConfigError) return []
    throw error
  }
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
