/**
 * The file formats of Obol's x402-buyer, read as its own decoder reads them; unknown keys are ignored as there. What x402-buyer
 * never checks is checked when a file becomes pools and vouchers (providers/obol/pool-vouchers.ts).
 */
import { parseAllDocuments } from 'yaml'
import { z } from 'zod'

/** One upstream of x402-buyer's configuration. */
export const upstreamSchema = z.object({
  url: z.string().default(''),
  remoteModel: z.string().default(''),
  network: z.string().default(''),
  payTo: z.string().default(''),
  asset: z.string().default(''),
  assetSymbol: z.string().default(''),
  assetDecimals: z.number().default(0),
  assetTransferMethod: z.string().default(''),
  price: z.string('price must be a string of smallest units').default(''),
})

/** See {@link upstreamSchema}. */
export type UpstreamDocument = z.output<typeof upstreamSchema>

/** One pre-signed authorization: flat (`signature`, `from`, …) or `{ id, payment }`. */
export const authSchema = z.object({
  id: z.string().default(''),
  payment: z.record(z.string(), z.unknown()).nullish(),
  signature: z.string().default(''),
  from: z.string().default(''),
  to: z.string().default(''),
  value: z.string().default(''),
  validAfter: z.string().default(''),
  validBefore: z.string().default(''),
  nonce: z.string().default(''),
})

/** See {@link authSchema}. */
export type AuthDocument = z.output<typeof authSchema>

const authsSchema = z
  .array(authSchema.nullable())
  .nullable()
  .transform((auths) => (auths ?? []).filter((auth) => auth !== null))

const configFileSchema = z.object({ upstreams: z.record(z.string(), upstreamSchema).nullable() })
const authsFileSchema = z.record(z.string(), authsSchema).nullable()

/** A `PurchaseRequest` of the Kubernetes API group obol.org. */
const purchaseSchema = z.object({
  kind: z.literal('PurchaseRequest'),
  metadata: z.object({ name: z.string().min(1) }),
  spec: z.object({
    endpoint: z.string(),
    model: z.string().default(''),
    preSignedAuths: authsSchema.default([]),
    payment: z.object({
      network: z.string(),
      payTo: z.string(),
      price: z.string('spec.payment.price must be a string of smallest units'),
      asset: z.string(),
      assetSymbol: z.string().default(''),
      assetDecimals: z.number().default(0),
      assetTransferMethod: z.string().default(''),
    }),
  }),
})

/** The content of one file. */
export interface Contents {
  readonly upstreams: ReadonlyMap<string, UpstreamDocument>
  readonly auths: ReadonlyMap<string, readonly AuthDocument[]>
}

/** A file that cannot be understood. The message says why without quoting the file, which holds signatures. */
export class UnreadableError extends Error {
  override readonly name = 'UnreadableError'
}

/**
 * Reads a configuration: x402-buyer's `{ "upstreams": … }`, one bare upstream (where `stem` names it), or PurchaseRequests as
 * YAML or JSON.
 * @param stem the file's name without its extension, in a directory of upstreams
 * @throws UnreadableError
 */
export function readConfig(text: string, stem?: string): Contents {
  const documents = parse(text)
  const purchases = documents.flatMap(listed).filter(isPurchase)
  if (purchases.length > 0) return merged(purchases.map((purchase) => readPurchase(purchase)))
  const [first] = documents
  if (stem !== undefined) {
    return { upstreams: new Map([[stem, checked(upstreamSchema, first)]]), auths: new Map() }
  }
  const { upstreams } = checked(configFileSchema, first)
  return { upstreams: new Map(Object.entries(upstreams ?? {})), auths: new Map() }
}

/**
 * Reads authorizations: `{ "<name>": [ … ] }`, or a bare list (where `stem` names its upstream).
 * @throws UnreadableError
 */
export function readAuths(text: string, stem?: string): ReadonlyMap<string, readonly AuthDocument[]> {
  const [first] = parse(text)
  if (stem !== undefined) return new Map([[stem, checked(authsSchema, first)]])
  return new Map(Object.entries(checked(authsFileSchema, first) ?? {}))
}

function readPurchase(document: unknown): Contents {
  const { metadata, spec } = checked(purchaseSchema, document)
  const upstream: UpstreamDocument = {
    ...spec.payment,
    url: spec.endpoint.replace(/\/+$/, '').replace(/\/(?:v1\/)?chat\/completions$/, ''),
    remoteModel: spec.model,
  }
  return {
    upstreams: new Map([[metadata.name, upstream]]),
    auths: new Map([[metadata.name, spec.preSignedAuths]]),
  }
}

function merged(all: readonly Contents[]): Contents {
  return {
    upstreams: new Map(all.flatMap(({ upstreams }) => [...upstreams])),
    auths: new Map(all.flatMap(({ auths }) => [...auths])),
  }
}

/** JSON is YAML too; one file may contain several documents. */
function parse(text: string): unknown[] {
  try {
    return [JSON.parse(text) as unknown]
  } catch {
    // Not JSON.
  }
  try {
    const documents = parseAllDocuments(text)
    if (documents.length > 0 && documents.every(({ errors }) => errors.length === 0)) {
      // No aliases: a small file must not become a large one.
      return documents.map((document): unknown => document.toJS({ maxAliasCount: 0 }))
    }
  } catch {
    // Reported below.
  }
  throw new UnreadableError('is neither JSON nor YAML')
}

/** `kubectl get -o yaml` wraps several into a List. */
function listed(document: unknown): unknown[] {
  const items = isRecord(document) && document['kind'] === 'List' ? document['items'] : undefined
  return Array.isArray(items) ? items : [document]
}

function isPurchase(document: unknown): boolean {
  return isRecord(document) && document['kind'] === 'PurchaseRequest'
}

function checked<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const path = issue?.path.map(String).join('.') ?? ''
  throw new UnreadableError(`${path === '' ? 'its content' : path} is wrong: ${issue?.message ?? 'unknown'}`)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
