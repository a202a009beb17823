/** Finds out what kind of catalogue a document is, and reads it. */
import { property } from '../property.ts'
import type { CatalogueKind, ReadCatalogue } from './listing.ts'
import { readBazaar } from './read-bazaar.ts'
import { isOpenApi, readOpenApi } from './read-openapi.ts'
import { isPaySkills, readPaySkills } from './read-pay-skills.ts'
import { isPaysh, readPaysh } from './read-paysh.ts'
import { readServices } from './read-services.ts'

/** The kind of a JSON document, by its shape; `undefined` for one that is no catalogue. */
export function kindOf(document: unknown): CatalogueKind | undefined {
  if (isOpenApi(document)) return 'openapi'
  if (Array.isArray(document)) return 'services'
  if (Array.isArray(property(document, 'items')) || Array.isArray(property(document, 'resources')))
    return 'bazaar'
  if (isPaySkills(document)) return 'pay-skills'
  if (isPaysh(document)) return isStorefront(document) ? 'services' : 'paysh'
  return undefined
}

/**
 * Reads a document of a kind.
 * @param base its address, for relative ones in it
 * @returns `undefined` when it is of another kind
 */
export function readCatalogue(
  kind: CatalogueKind,
  document: unknown,
  base: string | undefined,
): ReadCatalogue | undefined {
  return READERS[kind](document, base)
}

type Reader = (document: unknown, base: string | undefined) => ReadCatalogue | undefined

const READERS: Readonly<Record<CatalogueKind, Reader>> = {
  paysh: readPaysh,
  'pay-skills': readPaySkills,
  services: readServices,
  openapi: readOpenApi,
  bazaar: readBazaar,
}

/** pay.sh's version 1 and a storefront both have `services`; only a storefront's have an endpoint. */
function isStorefront(document: unknown): boolean {
  const services = property(document, 'services')
  return Array.isArray(services) && property(services[0], 'endpoint') !== undefined
}
