/** By which method a seller describes its service: the bazaar extension of v2, `outputSchema` of v1, and what stands beside them. */
import { isRecord } from './wire-json.ts'
import { property } from '../property.ts'
import type { Challenge } from './x402.ts'

/** The methods that a service may be called by. */
export const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])

/** Where the method is named, in an input or beside it. */
const NAMES = ['method', 'httpMethod', 'http_method', 'verb'] as const

/** Members of an input that say that there is a body. */
const BODIES = ['bodyType', 'bodyFields', 'body'] as const

/** Members of an input that say that there is a query alone. */
const QUERIES = ['queryParams', 'query'] as const

/** @returns `undefined` where the seller does not say, or says several */
export function describedMethod({ extensions, offers, resource }: Challenge): string | undefined {
  const bazaar = property(extensions, 'bazaar')
  const descriptions = [
    property(bazaar, 'info'),
    bazaar,
    ...offers.flatMap(({ raw, extra }) => [raw['outputSchema'], raw, extra['outputSchema'], extra]),
    property(resource, 'outputSchema'),
    resource,
  ]
  const inputs = descriptions.map((description) => property(description, 'input')).filter(isRecord)
  const named = [...inputs, schemaOf(bazaar), ...descriptions].flatMap(methodsIn)
  return named.find((method) => METHODS.has(method)) ?? inputs.map(impliedBy).find((one) => one !== undefined)
}

/** The JSON schema of the input, which may allow one method only. */
function schemaOf(bazaar: unknown): unknown {
  return property(property(property(property(bazaar, 'schema'), 'properties'), 'input'), 'properties')
}

function methodsIn(place: unknown): readonly string[] {
  return NAMES.map((name) => property(place, name)).flatMap((value) => {
    const only = property(value, 'const') ?? property(value, 'enum') ?? value
    const [first, ...others]: readonly unknown[] = Array.isArray(only) ? only : [only]
    return typeof first === 'string' && others.length === 0 ? [first.trim().toUpperCase()] : []
  })
}

function impliedBy(input: Readonly<Record<string, unknown>>): string | undefined {
  const has = (name: string): boolean => input[name] !== undefined && input[name] !== null
  if (BODIES.some(has)) return 'POST'
  return QUERIES.some(has) ? 'GET' : undefined
}
