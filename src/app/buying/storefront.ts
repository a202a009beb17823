/** Reads the catalogue of an Obol storefront, `/api/services.json`. */
import { z } from 'zod'
import { findNetwork } from '../../core/money/assets.ts'
import { systemClock } from '../../core/clock.ts'
import { ConfigError, TollwayError } from '../../core/errors.ts'
import { formatUnits, parseAtomic } from '../../core/money/money.ts'
import { printable } from '../../core/printable.ts'
import { systemTimers } from '../../core/timers.ts'
import {
  readBounded,
  type OutgoingRequest,
  type Upstream,
  createUpstream,
} from '../../io/transport/upstream.ts'
import { UpstreamError } from '../../io/transport/upstream-error.ts'
import { unknownName } from '../../io/names/nearest-name.ts'
import { askSeller, commandRequest, OWN_HEADERS } from './ask-price.ts'
import { readUrl } from './endpoint.ts'

/** One service of a storefront. */
export interface ProbedService {
  readonly name: string
  readonly type: string | undefined
  readonly endpoint: string | undefined
  readonly price: string | undefined
  readonly network: string | undefined
  readonly model: string | undefined
}

/** Longest wait for a storefront or a price, milliseconds. */
export const PROBE_MS = 15_000
const CATALOGUE_PATH = /\/api\/services\.json$/
const MAX_CATALOGUE_BYTES = 1_048_576
const MAX_SERVICES = 500
/** Characters. */
const MAX_ADDRESS = 2000

/** The part of an Obol storefront's catalog that is read; everything else is ignored. */
const SERVICE = z.looseObject({
  name: z.string(),
  type: z.string().optional(),
  endpoint: z.string().optional(),
  url: z.string().optional(),
  model: z.string().optional(),
  network: z.string().optional(),
  caip2Network: z.string().optional(),
  price: z.union([z.string(), z.number()]).optional(),
  priceAtomicUnits: z.string().optional(),
  asset: z
    .looseObject({ symbol: z.string().optional(), decimals: z.number().int().min(0).max(36).optional() })
    .optional(),
})
const CATALOGUE = z.union([z.array(z.unknown()), z.looseObject({ services: z.array(z.unknown()) })])

/** The services of a storefront, whose address or catalogue was given; `undefined` if there is none. */
export async function readStorefront(
  upstream: Upstream,
  url: URL,
  signal: AbortSignal,
): Promise<ProbedService[] | undefined> {
  const base = `${url.origin}${url.pathname}`
    .replace(CATALOGUE_PATH, '')
    .replace(/\/+$/, '')
    .replace(/\/v1$/, '')
  const request: OutgoingRequest = {
    method: 'GET',
    url: `${base}/api/services.json`,
    headers: { ...OWN_HEADERS, accept: 'application/json' },
    body: undefined,
    toSeller: true,
  }
  const asked = commandRequest(systemClock.now(), {
    route: 'probe',
    payer: 'none',
    apiBase: base,
    endpoint: 'other',
    model: 'probe',
  })
  try {
    const context = { upstream, clock: systemClock, timers: systemTimers }
    const reply = await askSeller(context, asked, request, signal)
    const { bytes, truncated } = await readBounded(reply.body, MAX_CATALOGUE_BYTES, PROBE_MS)
    if (reply.status !== 200 || truncated) return undefined
    const parsed = CATALOGUE.safeParse(JSON.parse(Buffer.from(bytes).toString('utf8')))
    if (!parsed.success) return undefined
    const list = Array.isArray(parsed.data) ? parsed.data : parsed.data.services
    return list.slice(0, MAX_SERVICES).flatMap((entry) => {
      const service = SERVICE.safeParse(entry)
      return service.success ? [serviceOf(service.data)] : []
    })
  } catch (error) {
    // Most sellers have no storefront, so a missing list is not an error.
    if (error instanceof TollwayError || error instanceof SyntaxError || error instanceof UpstreamError)
      return undefined
    throw error
  }
}

function serviceOf(service: z.output<typeof SERVICE>): ProbedService {
  const { name, type, endpoint, url, model, network, caip2Network, price, priceAtomicUnits, asset } = service
  const units = parseAtomic(priceAtomicUnits)
  const exact =
    units !== undefined && asset?.decimals !== undefined
      ? `${formatUnits(units, asset.decimals)} ${asset.symbol ?? ''}`.trim()
      : undefined
  const text = (value: string | undefined): string | undefined =>
    value === undefined ? undefined : printable(value, 200)
  const place = caip2Network ?? network
  const address = endpoint ?? url
  return {
    name: printable(name, 200),
    type: text(type),
    endpoint: address === undefined ? undefined : printable(address, MAX_ADDRESS),
    price: text(exact ?? (price === undefined ? undefined : String(price))),
    network: place === undefined ? undefined : (findNetwork(place)?.alias ?? printable(place, 200)),
    model: text(model),
  }
}

/** Whether an address is that of a catalogue. */
export function isCatalogue(url: URL): boolean {
  return CATALOGUE_PATH.test(url.pathname)
}

/**
 * The address to buy a model at: the given one, or that of the service with this model in the catalogue that was given.
 * @throws ConfigError if the catalogue cannot be read or has no such service
 */
export async function endpointOf(text: string, model: string, signal: AbortSignal): Promise<string> {
  const url = readUrl(text)
  if (!isCatalogue(url)) return text
  const upstream = createUpstream({ connectMs: PROBE_MS, firstByteMs: PROBE_MS, totalMs: PROBE_MS })
  try {
    const services = await readStorefront(upstream, url, signal)
    if (!services)
      throw new ConfigError(`${url.href} is not a catalogue that can be read; nothing was signed.`)
    const found = services.find((one) => one.model === model || one.name === model)
    if (found?.endpoint !== undefined) return new URL(found.endpoint, url).href
    const known = services.flatMap((one) => one.model ?? one.name)
    throw new ConfigError(`${unknownName('model', model, known)} Nothing was signed.`)
  } finally {
    await upstream.close()
  }
}
