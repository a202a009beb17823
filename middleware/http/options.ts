/** Reads the options of a middleware once, when it is mounted. */
import { z } from 'zod'
import { ConfigError } from '../../src/core/errors.ts'
import { property } from '../../src/core/property.ts'
import { nearestName } from '../../src/io/names/nearest-name.ts'

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
  const known = keysAt(schema, issue.path)
  return issue.keys
    .map((key) => {
      const nearest = nearestName(key, known)
      const full = where === '' ? key : `${where}.${key}`
      const hint = nearest === undefined ? `Known: ${known.join(', ')}.` : `Did you mean "${nearest}"?`
      return `"${full}" is not an option. ${hint}`
    })
    .join(' ')
}

/** Checks an option that is an object with these methods, e.g. a clock. */
export function objectWith<T>(methods: readonly string[], message: string): z.ZodCustom<T, T> {
  return z.custom<T>(
    (value) => methods.every((method) => typeof property(value, method) === 'function'),
    message,
  )
}

/** Checks an option that is a function. */
export function functionOption<T>(message: string): z.ZodCustom<T, T> {
  return z.custom<T>((value) => typeof value === 'function', message)
}

/** The keys of the object schema at a path; zod's wrappers (optional, default) are looked through. */
function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let node = unwrap(schema)
  for (const step of path) {
    node = unwrap(
      typeof step === 'number' ? property(node, 'element') : property(property(node, 'shape'), String(step)),
    )
  }
  return Object.keys(property(node, 'shape') ?? {})
}

function unwrap(schema: unknown): unknown {
  let node = schema
  for (;;) {
    const inner = property(property(node, 'def'), 'innerType')
    if (inner === undefined) return node
    node = inner
  }
}
