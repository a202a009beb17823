/**
 * pay.sh's catalogue as SeekerClaw publishes it: `catalog.json` (version 2, an entry for each endpoint; version 1, one for each
 * service and without addresses) and `unsupported.json`, whose entries name a reason of the file's `reasons`.
 */
import { z } from 'zod'
import { property } from '../property.ts'
import { cleanMethod, cleanText, cleanUrl, cleanWords, rawOf, TEXT_LIMITS } from './clean.ts'
import type { Listing, Obstacle, ReadCatalogue } from './listing.ts'
import { isChatUrl, readEntries, usdPrice } from './read-entries.ts'

const TOP = z.looseObject({
  entries: z.array(z.unknown()).optional(),
  services: z.array(z.unknown()).optional(),
  reasons: z.record(z.string(), z.unknown()).optional().catch(undefined),
})

/** Whether a document is one of these. */
export function isPaysh(document: unknown): boolean {
  const list = property(document, 'entries') ?? property(document, 'services')
  return Array.isArray(list) && property(document, 'openapi') === undefined
}

/** @returns `undefined` for another kind of document */
export function readPaysh(document: unknown): ReadCatalogue | undefined {
  const top = TOP.safeParse(document)
  if (!top.success) return undefined
  const { entries, services, reasons = {} } = top.data
  const made = property(document, 'generated_at') ?? property(document, 'generatedAt')
  const read = (entry: unknown): Listing[] =>
    entries ? endpointOf(entry, reasons) : serviceOf(entry, reasons)
  return {
    ...readEntries(entries ?? services ?? [], read),
    generatedAt: cleanText(made, TEXT_LIMITS.word) || undefined,
    more: [],
  }
}

const REF = z.looseObject({ operator: z.string().optional(), service_url: z.string().nullish() })
const ENTRY = z.looseObject({
  id: z.string().min(1),
  service_id: z.string().optional(),
  name: z.string().min(1),
  summary: z.string().optional(),
  intents: z.unknown().optional(),
  upstream_ref: REF.optional().catch(undefined),
  endpoint: z
    .looseObject({
      method: z.unknown().optional(),
      path: z.string().optional(),
      cost_usdc: z.unknown().optional(),
    })
    .optional()
    .catch(undefined),
  verification: z
    .looseObject({ last_probed_at: z.unknown().optional(), probe_status: z.unknown().optional() })
    .optional()
    .catch(undefined),
  note: z.unknown().optional(),
  reason: z.unknown().optional(),
})

/** An entry of version 2. */
function endpointOf(entry: unknown, reasons: Readonly<Record<string, unknown>>): Listing[] {
  const parsed = ENTRY.safeParse(entry)
  if (!parsed.success) return []
  const { id, service_id: service, name, summary, intents, upstream_ref: ref, endpoint } = parsed.data
  const { verification, note, reason } = parsed.data
  const base = cleanUrl(ref?.service_url)
  const url = base === undefined ? undefined : cleanUrl(`${base.replace(/\/+$/, '')}${endpoint?.path ?? ''}`)
  const price = usdPrice(endpoint?.cost_usdc)
  const status = cleanText(verification?.probe_status, TEXT_LIMITS.word)
  return [
    {
      id: cleanText(id, TEXT_LIMITS.id),
      kind: isChatUrl(url) ? 'inference' : 'http',
      name: cleanText(name, TEXT_LIMITS.name),
      service: cleanText(service ?? id, TEXT_LIMITS.name),
      summary: cleanText(summary, TEXT_LIMITS.summary),
      words: cleanWords(intents),
      model: undefined,
      url,
      method: cleanMethod(endpoint?.method),
      prices: price ? [price] : [],
      terms: [],
      obstacle: obstacleOf(reason, note, reasons),
      check:
        status === ''
          ? undefined
          : { status, at: cleanText(verification?.last_probed_at, TEXT_LIMITS.word) || undefined },
      endsAt: undefined,
      raw: rawOf(entry),
    },
  ]
}

const SERVICE = z.looseObject({
  id: z.string().min(1),
  name: z.string().min(1),
  summary: z.string().optional(),
  intents: z.unknown().optional(),
  method: z.unknown().optional(),
  cost_usdc: z.unknown().optional(),
  url: z.unknown().optional(),
  service_url: z.unknown().optional(),
  reason: z.unknown().optional(),
  note: z.unknown().optional(),
})

/** An entry of version 1. Its address is in a page beside the catalogue, so most have none. */
function serviceOf(entry: unknown, reasons: Readonly<Record<string, unknown>>): Listing[] {
  const parsed = SERVICE.safeParse(entry)
  if (!parsed.success) return []
  const {
    id,
    name,
    summary,
    intents,
    method,
    cost_usdc: cost,
    url,
    service_url: place,
    reason,
    note,
  } = parsed.data
  const price = usdPrice(cost)
  return [
    {
      id: cleanText(id, TEXT_LIMITS.id),
      kind: 'http',
      name: cleanText(name, TEXT_LIMITS.name),
      service: cleanText(id, TEXT_LIMITS.name),
      summary: cleanText(summary, TEXT_LIMITS.summary),
      words: cleanWords(intents),
      model: undefined,
      url: cleanUrl(url ?? place),
      method: cleanMethod(method),
      prices: price ? [price] : [],
      terms: [],
      obstacle: obstacleOf(reason, note, reasons),
      check: undefined,
      endsAt: undefined,
      raw: rawOf(entry),
    },
  ]
}

/** The reason in words: of the file where it explains it, else what this kind of obstacle means. */
function obstacleOf(
  reason: unknown,
  note: unknown,
  reasons: Readonly<Record<string, unknown>>,
): Obstacle | undefined {
  const name = cleanText(reason, TEXT_LIMITS.word)
  if (name === '') return undefined
  const told = Object.hasOwn(reasons, name) ? reasons[name] : undefined
  const texts = [property(told, 'explanation') ?? property(told, 'label') ?? KNOWN[name], note]
  const explanation = texts
    .map((text) => cleanText(text, TEXT_LIMITS.explanation / 2))
    .filter((text) => text !== '')
  return {
    reason: name,
    explanation: explanation.join(' ') || 'The catalogue lists it as not usable and does not say why.',
    actionable: property(told, 'actionable') === true,
  }
}

/** The reasons in use, for a file that does not explain them. */
const KNOWN: Readonly<Record<string, string>> = {
  mpp_protocol: 'It asks for a payment by the Machine Payments Protocol instead of x402.',
  siwx_auth_required: 'It wants a sign-in with a wallet before it names a price.',
  invalid_demand: 'It asks for a payment of zero.',
  requires_binary_response: 'Its answers are files.',
  endpoint_not_402_at_probe:
    'It did not ask for a payment when it was looked at: it may have moved or ended.',
  unverified_paid_response_shape: 'No paid answer of it was seen yet.',
}
