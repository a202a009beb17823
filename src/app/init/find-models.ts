/** What a seller sells, for a first configuration: asked without paying. */
import { findNetwork, type Asset } from '../../core/money/assets.ts'
import { readInference } from '../buying/endpoint.ts'
import { probe, type Probed } from '../buying/probe.ts'
import type { StarterModel } from './starter-config.ts'

/** What was found. */
export interface FoundModels {
  readonly models: readonly StarterModel[]
  /** Networks of the offers that can be paid, by alias. */
  readonly networks: readonly string[]
  /** What a person should know. */
  readonly warning: string | undefined
}

/** A storefront may list hundreds; a first configuration is for reading. */
const MAX_MODELS = 20

/** @throws ConfigError for an address that is none */
export async function findModels(
  seller: string,
  assets: readonly Asset[],
  signal: AbortSignal,
  ask: typeof probe = probe,
): Promise<FoundModels> {
  const { apiBase } = readInference(seller)
  const probed = await ask(
    { url: seller, method: undefined, data: undefined, model: undefined },
    assets,
    signal,
  )
  const listed = (probed.services ?? []).flatMap(({ model, endpoint, type }): StarterModel[] =>
    model !== undefined && endpoint !== undefined && (type === undefined || type === 'inference')
      ? [{ name: `paid/${model}`, model, apiBase: readInference(new URL(endpoint, seller).href).apiBase }]
      : [],
  )
  const networks = [
    ...new Set(
      probed.offers
        .filter(({ usd }) => usd !== undefined)
        .flatMap(({ network }) => findNetwork(network)?.alias ?? []),
    ),
  ]
  const models = listed.length > 0 ? listed.slice(0, MAX_MODELS) : [{ name: 'paid/*', model: '*', apiBase }]
  return { models, networks, warning: warningOf(seller, probed, listed.length, networks) }
}

function warningOf(
  seller: string,
  { error, offers, status }: Probed,
  listed: number,
  networks: readonly string[],
): string | undefined {
  if (listed > MAX_MODELS)
    return `The first ${MAX_MODELS} of ${listed} models were written; tollway probe ${seller} lists all.`
  if (listed > 0) return undefined
  if (error) return `The seller could not be asked: ${error.message}`
  if (offers.length === 0)
    return `The seller answered ${status ?? 'nothing'} and asked for no payment; look with tollway probe ${seller}.`
  if (networks.length === 0)
    return `The seller takes no token with a known value; look with tollway probe ${seller}.`
  return undefined
}
