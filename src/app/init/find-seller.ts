/** Who sells a model, for a first configuration: searched in the index of catalogues, without asking anybody. */
import { parse } from 'yaml'
import { z } from 'zod'
import { evmNetworkNames, findEvmNetwork } from '../../core/money/assets.ts'
import { buyerOf } from '../catalogue/buyer.ts'
import type { CatalogueContext } from '../catalogue/catalogue.ts'
import { find, type Found } from '../catalogue/find.ts'
import { parseConfig } from '../config/load.ts'
import type { StarterModel } from './starter-config.ts'

/** A model that somebody lists. */
export interface FoundSeller {
  readonly model: StarterModel
  readonly found: Found
}

/** How many a person chooses among. */
const MAX_CHOICE = 9

/**
 * Those that a wallet on the network could pay, the best match first.
 * @param network alias; `undefined` for any EVM network
 */
export async function findSellers(
  context: CatalogueContext,
  words: string,
  network: string | undefined,
  signal: AbortSignal,
): Promise<readonly FoundSeller[]> {
  const networks = network === undefined ? evmNetworkNames().filter(findEvmNetwork) : [network]
  // Nothing is signed here: the key of this payer is never read.
  const wallet = { kind: 'direct', signer: { url: 'http://127.0.0.1:9000' }, networks }
  const buyer = buyerOf(parseConfig({ payers: { wallet } }, {}))
  const request = { words, limit: MAX_CHOICE, source: undefined, isProbing: false, isOnline: false }
  const { found } = await find(context, request, buyer, signal)
  return found.flatMap((one): FoundSeller[] => {
    const model = one.judgement.payable === 'no' ? undefined : modelOf(one.entry)
    return model ? [{ model, found: one }] : []
  })
}

const ENTRY = z.object({
  model_list: z.tuple([
    z.object({
      model_name: z.string(),
      model: z.string(),
      api_base: z.string(),
      pin: z.looseObject({ network: z.string() }).optional(),
    }),
  ]),
})

/** The listing's own entry of `model_list`, with what it pins. */
function modelOf(entry: string | undefined): StarterModel | undefined {
  if (entry === undefined) return undefined
  const [first] = ENTRY.parse(parse(entry)).model_list
  return { name: first.model_name, model: first.model, apiBase: first.api_base, pin: first.pin }
}
