/** Reads the options of a factory once, when it is called: a middleware at mount, a payer when it is created. */
import type { z } from 'zod'
import { ConfigError, TollwayError } from '../../core/errors.ts'
import { property } from '../../core/property.ts'
import { nearestName, suggestName } from './nearest-name.ts'

/**
 * Parses options strictly.
 * @param name the factory's name, for the message
 * @throws ConfigError that names every mistake, and for an unknown key the nearest known one
 */
export function parseOptions<T extends z.ZodType>(name: string, schema: T, options: unknown): z.output<T> {
  if (isRequest(options)) {
    throw notCalled(name)
  }
  const parsed = schema.safeParse(options)
  if (parsed.success) return parsed.data
  throw new ConfigError(`${name}(): ${faultsOf(parsed.error, schema, options).join(' ')}`)
}

/** The mistakes as sentences, each with its place and, for a misspelt name, the nearest known one. */
export function faultsOf(error: z.ZodError, schema: z.ZodType, value: unknown): string[] {
  return error.issues.map((issue) => describe(issue, schema, value))
}

/** Whether a server called a factory with a request: the factory itself was mounted. */
export function isRequest(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'httpVersion' in value && 'socket' in value
}

/** That a factory was mounted instead of what it makes; with the first request only, so it is answered. */
export function notCalled(name: string): TollwayError {
  const fix = `Write app.use(${name}(...)).`
  return new TollwayError({
    code: 'setup_error',
    message: `${name} was mounted without being called. Nothing was paid.`,
    advice: [fix],
    details: { fix },
  })
}

function describe(issue: z.core.$ZodIssue, schema: z.ZodType, options: unknown): string {
  const where = issue.path.map(String).join('.')
  if (issue.code !== 'unrecognized_keys') {
    const message = sentence(`${messageOf(issue)}${nearOf(issue, options)}`)
    return where === '' ? message : `${where}: ${message}`
  }
  const known = keysOf(schemaAt(schema, issue.path))
  return issue.keys
    .map((key) => {
      const full = where === '' ? key : `${where}.${key}`
      return `"${full}" is not an option. ${known.length === 0 ? 'Remove it.' : suggestName(key, known)}`
    })
    .join(' ')
}

/** What zod says where the schema has no message of its own. */
const LIBRARY_MESSAGE = /^(?:Invalid|Too (?:small|big)|Unrecognized)\b/

/** What to give instead, by the type that zod expects. */
const TYPES: Readonly<Record<string, string>> = {
  array: 'a list',
  object: 'an object',
  record: 'an object',
  string: 'text',
  int: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
}

/** The schema's own message, or ours instead of the library's. */
function messageOf(issue: z.core.$ZodIssue): string {
  if (!LIBRARY_MESSAGE.test(issue.message)) return issue.message
  if (issue.code === 'invalid_type') return `give ${TYPES[issue.expected] ?? `a ${issue.expected}`}`
  if (issue.code === 'invalid_value') return `use ${issue.values.map(String).join(' or ')}`
  if (issue.code === 'too_small') return `give at least ${issue.minimum}`
  if (issue.code === 'too_big') return `give at most ${issue.maximum}`
  return 'this value is not valid'
}

/** The choice that a misspelt value was probably meant to be. */
function nearOf(issue: z.core.$ZodIssue, options: unknown): string {
  if (issue.code !== 'invalid_value') return ''
  const value = issue.path.reduce<unknown>((parent, step) => property(parent, String(step)), options)
  const near = typeof value === 'string' ? nearestName(value, issue.values.map(String)) : undefined
  return near === undefined ? '' : `. Did you mean "${near}"?`
}

function sentence(text: string): string {
  return /[.?!]$/.test(text) ? text : `${text}.`
}

function schemaAt(schema: z.ZodType, path: readonly PropertyKey[]): unknown {
  let node: unknown = schema
  for (const step of path) {
    const parent = unwrap(node)
    node =
      typeof step === 'number'
        ? property(parent, 'element')
        : (property(property(parent, 'shape'), String(step)) ?? property(parent, 'valueType'))
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

/** Looks through zod's wrappers, such as optional, default and transform. */
function unwrap(schema: unknown): unknown {
  let node = schema
  for (;;) {
    const def = property(node, 'def')
    const inner = property(def, 'innerType') ?? property(def, 'in')
    if (inner === undefined) return node
    node = inner
  }
}
