/** Reads the options of a factory once, when it is called: a middleware at mount, a payer when it is created. */
import type { z } from 'zod'
import { ConfigError } from '../../core/errors.ts'
import { property } from '../../core/property.ts'
import { suggestName } from './nearest-name.ts'

/**
 * Parses options strictly.
 * @param name the factory's name, for the message
 * @throws ConfigError that names every mistake, and for an unknown key the nearest known one
 */
export function parseOptions<T extends z.ZodType>(name: string, schema: T, options: unknown): z.output<T> {
  if (looksLikeRequest(options)) {
    throw new ConfigError(`${name} was mounted without being called. Write app.use(${name}(...)).`)
  }
  const parsed = schema.safeParse(options)
  if (parsed.success) return parsed.data
  const faults = parsed.error.issues.map((issue) => describe(issue, schema))
  throw new ConfigError(`${name}(): ${faults.join(' ')}`)
}

function looksLikeRequest(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'httpVersion' in value && 'socket' in value
}

function describe(issue: z.core.$ZodIssue, schema: z.ZodType): string {
  const where = issue.path.map(String).join('.')
  if (issue.code !== 'unrecognized_keys') {
    const message = issue.message.replace(/\.$/, '')
    return where === '' ? `${message}.` : `${where}: ${message}.`
  }
  const known = keysOf(schemaAt(schema, issue.path))
  return issue.keys
    .map((key) => {
      const full = where === '' ? key : `${where}.${key}`
      return `"${full}" is not an option. ${known.length === 0 ? 'Remove it.' : suggestName(key, known)}`
    })
    .join(' ')
}

function schemaAt(schema: z.ZodType, path: readonly PropertyKey[]): unknown {
  let node: unknown = schema
  for (const step of path) {
    const parent = unwrap(node)
    node =
      typeof step === 'number'
        ? property(parent, 'element')
        : property(property(parent, 'shape'), String(step))
  }
  return node
}

/** The keys of an object schema, or of all alternatives of a union. */
function keysOf(schema: unknown): string[] {
  const node = unwrap(schema)
  const options = property(node, 'options')
  return Array.isArray(options)
    ? [...new Set(options.flatMap(keysOf))]
    : Object.keys(property(node, 'shape') ?? {})
}

/** Looks through zod's wrappers, such as optional and default. */
function unwrap(schema: unknown): unknown {
  let node = schema
  for (;;) {
    const inner = property(property(node, 'def'), 'innerType')
    if (inner === undefined) return node
    node = inner
  }
}
