/** Rows of the catalogue's index as objects, and back. */
import { z } from 'zod'
import type { Listing } from '../../core/catalogue/listing.ts'
import { ConfigError } from '../../core/errors.ts'
import type { CatalogueSource, IndexedListing, ProbeRecord } from './indexed.ts'

type Row = Readonly<Record<string, unknown>>

/** What is not there is `null` in the file, because JSON has no `undefined`. */
const maybe = <T extends z.ZodType>(schema: T) => schema.nullable().transform((value) => value ?? undefined)
const text = maybe(z.string())

const LISTING: z.ZodType<Listing> = z.object({
  id: z.string(),
  kind: z.enum(['inference', 'http', 'agent', 'mcp', 'other']),
  name: z.string(),
  service: z.string(),
  summary: z.string(),
  words: z.array(z.string()),
  model: text,
  url: text,
  method: text,
  prices: z.array(z.object({ usd: text, unit: z.string(), per: z.number(), text: z.string() })),
  terms: z.array(z.object({ network: z.string(), asset: text, payTo: text, amount: text, scheme: text })),
  obstacle: maybe(z.object({ reason: z.string(), explanation: z.string(), actionable: z.boolean() })),
  check: maybe(z.object({ status: z.string(), at: text })),
  endsAt: text,
  raw: text,
})

const PROBE = z.object({ status: maybe(z.number()), usd: text, payable: z.boolean(), note: z.string() })

const SOURCE = z
  .object({
    name: z.string(),
    kind: z.enum(['paysh', 'pay-skills', 'services', 'openapi', 'bazaar', 'erc8004']),
    address: z.string(),
    read_at: maybe(z.number()),
    generated_at: text,
    listings: z.number(),
    skipped: z.number(),
    problem: text,
    next_block: maybe(z.string().regex(/^\d+$/).transform(BigInt)),
  })
  .transform(({ read_at: readAt, generated_at: generatedAt, next_block: nextBlock, ...rest }) => ({
    ...rest,
    readAt,
    generatedAt,
    nextBlock,
  }))

/** A value as the file keeps it. */
export function factsJson(value: object): string {
  return JSON.stringify(value, (_key, inner: unknown) => inner ?? null)
}

export function listingOf(row: Row): IndexedListing {
  return {
    source: String(row['source']),
    listing: parsed(LISTING, JSON.parse(String(row['facts']))),
    seenAt: Number(row['seen_at']),
  }
}

export function probeOf(row: Row): ProbeRecord {
  return { at: Number(row['at']), ...parsed(PROBE, JSON.parse(String(row['facts']))) }
}

export function sourceOf(row: Row): CatalogueSource {
  return parsed(SOURCE, row)
}

function parsed<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new ConfigError('The index of catalogues is damaged. Delete it and add its sources again.')
}
