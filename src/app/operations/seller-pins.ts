/** Manual changes to sellers' pins: payee addresses and prices. Works while a gateway runs. */
import { findAsset, findNetwork, type Asset } from '../../core/money/assets.ts'
import type { Clock } from '../../core/clock.ts'
import { ConfigError } from '../../core/errors.ts'
import type { AuditSink } from '../../io/audit/audit-queue.ts'
import { thisInstance } from '../../io/ledger/instance.ts'
import { openExistingStore } from '../../io/ledger/open-store.ts'
import type { KnownPrice, Pin } from '../../io/store/contracts/sellers.ts'
import type { Store } from '../../io/store/store.ts'
import { readApiBase, readNetwork, readPayee, readPrice } from './seller-arguments.ts'
import { withCommandAudit, type OpenBooks } from './command-audit.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { canonicalAddress } from '../../core/money/address.ts'
import { ANY_PAYEE } from '../../core/policy/payees.ts'

/** The part of a configuration that pins use. */
export type SellersConfig = Pick<
  ResolvedConfig,
  'store' | 'audit' | 'assets' | 'routes' | 'payers' | 'policy'
>

/** What the ledger knows about sellers. */
export interface KnownSellers {
  readonly pins: readonly Pin[]
  readonly prices: readonly KnownPrice[]
}

/** The arguments of `tollway sellers trust`, as typed. */
export interface TrustRequest {
  readonly apiBase: string
  readonly payTo?: string | undefined
  /** The seller may name another payee in each request. Cannot be combined with `payTo`. */
  readonly anyPayee?: boolean | undefined
  /** In whole tokens, such as `0.0025`. */
  readonly price?: string | undefined
  /** Alias or CAIP-2; default every network of this seller's payers. */
  readonly network?: string | undefined
  /** Symbol or address; default every token that may be spent there. */
  readonly asset?: string | undefined
  readonly model?: string | undefined
  /** Without `/v1`. */
  readonly path?: string | undefined
}

/** The ledger's pins and prices. @throws ConfigError without a ledger; TollwayError `store_unavailable` */
export async function listSellers(config: SellersConfig): Promise<KnownSellers> {
  return await withStore(config, knownSellers)
}

/** The pins and prices of an open ledger. */
export async function knownSellers(store: Pick<Store, 'pins' | 'prices'>): Promise<KnownSellers> {
  return { pins: await store.pins(), prices: await store.prices() }
}

/**
 * Pins a payee (or any payee), a price or both, replacing earlier pins.
 * @param books default: the ledger of the configuration and a command's audit file
 * @throws ConfigError if the arguments are invalid or match nothing
 * @throws TollwayError `store_unavailable`, `audit_unavailable`
 */
export async function trustSeller(
  config: SellersConfig,
  request: TrustRequest,
  clock: Clock,
  books: OpenBooks = commandBooks(config, clock),
): Promise<KnownSellers> {
  const apiBase = readApiBase(request.apiBase)
  const network = request.network === undefined ? undefined : readNetwork(request.network)
  if (request.anyPayee === true && request.payTo !== undefined) {
    throw new ConfigError('--any-payee and a payee address cannot be combined. Give one of the two.')
  }
  const named = request.payTo === undefined ? undefined : readPayee(request.payTo, config.assets)
  const payTo = request.anyPayee === true ? ANY_PAYEE : named
  if (payTo === undefined && request.price === undefined) {
    throw new ConfigError(
      'There is nothing to pin. Name the payee address, or a price with --price, or give --any-payee.',
    )
  }
  return await books(async (store, audit) => {
    const known = { pins: await store.pins(apiBase), prices: await store.prices(apiBase) }
    const assets = assetsFor(config, apiBase, known, network, request.asset)
    const payable = named === undefined ? assets : assetsAt(assets, named)
    const prices =
      request.price === undefined
        ? []
        : await trustPrices(store, audit, request, apiBase, assets, known, clock)
    const pins =
      payTo === undefined ? [] : await trustPins(store, audit, payTo, apiBase, payable, known, clock)
    return { pins, prices }
  })
}

/**
 * Removes everything known about a seller: the next payment pins it again.
 * @throws ConfigError if nothing is known about it
 * @throws TollwayError `store_unavailable`, `audit_unavailable`
 */
export async function forgetSeller(
  config: SellersConfig,
  text: string,
  clock: Clock,
  books: OpenBooks = commandBooks(config, clock),
): Promise<{ readonly pins: number; readonly prices: number }> {
  const apiBase = readApiBase(text)
  return await books(async (store, audit) => {
    const pins = await store.pins(apiBase)
    const forgotten = await store.forgetSeller(apiBase)
    if (forgotten.pins + forgotten.prices === 0) throw unknownSeller(apiBase)
    await audit.append(
      'seller.forgotten',
      { api_base: apiBase, pay_to: pins.map((pin) => pin.payTo), prices: forgotten.prices },
      { durable: true },
    )
    return forgotten
  })
}

async function trustPins(
  store: Store,
  audit: Pick<AuditSink, 'append'>,
  payTo: string,
  apiBase: string,
  assets: readonly Asset[],
  known: KnownSellers,
  clock: Clock,
): Promise<Pin[]> {
  const pins = assets.map(({ network, address }) => ({
    apiBase,
    network,
    asset: address,
    payTo,
    pinnedAt: clock.now(),
  }))
  for (const pin of pins) {
    const { network, asset } = pin
    const before = known.pins.find((other) => other.network === network && other.asset === asset)
    await store.trustPin(pin)
    await audit.append(
      'seller.trusted',
      { api_base: apiBase, network, asset, pay_to: payTo, before: before?.payTo ?? null },
      { durable: true },
    )
  }
  return pins
}

async function trustPrices(
  store: Store,
  audit: Pick<AuditSink, 'append'>,
  request: TrustRequest,
  apiBase: string,
  assets: readonly Asset[],
  known: KnownSellers,
  clock: Clock,
): Promise<KnownPrice[]> {
  const changed: KnownPrice[] = []
  for (const { network, address: asset, decimals, symbol } of assets) {
    const amount = readPrice(request.price ?? '', decimals, symbol)
    const filter = {
      apiBase,
      network,
      asset,
      model: request.model,
      endpoint: request.path === undefined ? undefined : endpointOf(request.path),
    }
    for (const price of await store.trustPrice(filter, amount, clock.now())) {
      const { endpoint, model } = price
      const before = known.prices.find(
        (other) =>
          other.network === network &&
          other.asset === asset &&
          other.endpoint === endpoint &&
          other.model === model,
      )
      changed.push(price)
      await audit.append(
        'seller.price_trusted',
        { api_base: apiBase, endpoint, model, network, asset, price: amount, before: before?.pinned ?? null },
        { durable: true },
      )
    }
  }
  if (changed.length > 0) return changed
  if (request.model !== undefined && request.path !== undefined) {
    return await pinNewPrices(
      store,
      audit,
      { ...request, model: request.model, path: request.path },
      apiBase,
      assets,
      clock,
    )
  }
  throw new ConfigError(
    `No known price of ${apiBase} matches: the first payment pins one, or --path and --model together name a new one. \`tollway sellers list\` shows the known prices.`,
  )
}

/** Pins the price of a model that was not paid for yet, for each token. */
async function pinNewPrices(
  store: Store,
  audit: Pick<AuditSink, 'append'>,
  { price: text = '', model, path }: TrustRequest & { readonly model: string; readonly path: string },
  apiBase: string,
  assets: readonly Asset[],
  clock: Clock,
): Promise<KnownPrice[]> {
  const endpoint = endpointOf(path)
  const pinned: KnownPrice[] = []
  for (const { network, address: asset, decimals, symbol } of assets) {
    const key = { apiBase, endpoint, model, network, asset }
    const price = readPrice(text, decimals, symbol)
    await store.notePrice(key, price, clock.now())
    pinned.push({ ...key, first: price, pinned: price, last: price, updatedAt: clock.now() })
    await audit.append(
      'seller.price_trusted',
      { api_base: apiBase, endpoint, model, network, asset, price, before: null },
      { durable: true },
    )
  }
  return pinned
}

/** A path as prices are kept by. */
function endpointOf(path: string): string {
  return path.replace(/^\/v1(?=\/)/, '')
}

/** The tokens meant: those named, else those known for this seller and those its payers may spend. */
function assetsFor(
  config: SellersConfig,
  apiBase: string,
  known: KnownSellers,
  network: string | undefined,
  wanted: string | undefined,
): Asset[] {
  const payers = config.routes
    .filter((route) => route.apiBase === apiBase)
    .flatMap((route) => (route.payer === undefined ? [] : [route.payer]))
  const networks = new Set(
    network === undefined
      ? [
          ...payers.flatMap((name) => config.payers.get(name)?.networks ?? []),
          ...known.pins.map((pin) => pin.network),
          ...known.prices.map((price) => price.network),
        ]
      : [network],
  )
  if (networks.size === 0) {
    throw new ConfigError(
      `No paid route has the api_base ${apiBase}, and the ledger does not know it. Correct the address, or add --network.`,
    )
  }
  const assets = config.assets.filter(
    (asset) =>
      networks.has(asset.network) &&
      (wanted === undefined ||
        asset.address === canonicalAddress(asset.network, wanted) ||
        asset.symbol.toLowerCase() === wanted.toLowerCase()),
  )
  if (assets.length > 0) return assets
  throw new ConfigError(
    wanted === undefined
      ? 'No token may be spent on this network. Declare one under assets.'
      : `${wanted} is not a token that may be spent there. Declare it under assets, or name another one.`,
  )
}

/** The tokens whose network has such addresses. */
function assetsAt(assets: readonly Asset[], payTo: string): Asset[] {
  const payable = assets.filter(({ network }) => canonicalAddress(network, payTo) !== undefined)
  if (payable.length > 0) return payable
  const networks = [...new Set(assets.map(({ network }) => findNetwork(network)?.alias ?? network))]
  throw new ConfigError(`${payTo} is not an address on ${networks.join(', ')}.`)
}

async function withStore<T>(config: SellersConfig, use: (store: Store) => Promise<T>): Promise<T> {
  if (config.store === 'memory') {
    throw new ConfigError(
      'store: memory exists only inside the gateway. Set store: sqlite:./tollway.db to keep a ledger that commands can share.',
    )
  }
  const store = await openExistingStore(config.store)
  try {
    return await use(store)
  } finally {
    await store.close()
  }
}

function commandBooks(config: SellersConfig, clock: Clock): OpenBooks {
  return async (use) =>
    await withStore(
      config,
      async (store) =>
        await withCommandAudit(config, clock, thisInstance(clock).id, store, (audit) => use(store, audit)),
    )
}

function unknownSeller(apiBase: string): ConfigError {
  return new ConfigError(`${apiBase} is not a known seller. \`tollway sellers list\` shows the known ones.`)
}

/** A token's symbol and decimals, if it is in the asset table. */
export function tokenOf(
  config: Pick<SellersConfig, 'assets'>,
  { network, asset }: { readonly network: string; readonly asset: string },
): Pick<Asset, 'symbol' | 'decimals'> {
  return findAsset(config.assets, network, asset) ?? { symbol: asset, decimals: 0 }
}
