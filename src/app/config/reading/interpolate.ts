import type { z } from 'zod'
import { PLAIN_SECRET, type RouteFinding } from './explain.ts'
import type { ConfigPath } from '../values/problems.ts'
import { hasPlainPassword } from '../../../io/store/postgres/database/address.ts'
import { notesOf, schemaAt } from './schema-walk.ts'
import { missingReference, parseReference, resolveText, type SecretContext } from '../values/secrets.ts'

/** A configuration with its references resolved, and the references that could not be. */
export interface Interpolated {
  /** A copy made of new plain objects and lists; a value with a finding stays as written. */
  readonly value: unknown
  readonly findings: readonly RouteFinding[]
}

/** Options of {@link interpolate}. */
export interface InterpolateOptions {
  /** Whether the secret at a path is needed; an unneeded reference stays as written and is not checked. */
  readonly isRead?: ((path: ConfigPath) => boolean) | undefined
  /** Whether a plain text at a path may be used where a secret belongs, because it is not secret. */
  readonly isPlaceholder?: ((path: ConfigPath) => boolean) | undefined
}

/** Deeper than any configuration; also stops at a structure that contains itself. */
const MAX_DEPTH = 12

/**
 * Replaces references by their values, except those of wallet keys, which only the signing thread reads.
 */
export function interpolate(
  input: unknown,
  root: z.core.$ZodType,
  context: SecretContext,
  { isRead = () => true, isPlaceholder = () => false }: InterpolateOptions = {},
): Interpolated {
  const findings: RouteFinding[] = []

  const text = (value: string, path: ConfigPath, secret: 'text' | 'reference' | undefined): string => {
    const fail = (message: string): string => {
      findings.push({ path, message })
      return value
    }
    if (secret === 'text' && isPlaceholder(path)) return value
    if (secret !== undefined) {
      const reference = parseReference(value, context.directory)
      if (reference === undefined) return fail(PLAIN_SECRET)
      if (!isRead(path)) return value
      if (secret === 'reference') {
        const fault = missingReference(reference, context)
        return fault === '' ? value : fail(fault)
      }
    }
    if (hasPlainPassword(value)) return fail(PLAIN_SECRET)
    if (!value.includes('${')) return value
    const resolved = resolveText(value, context)
    return 'text' in resolved ? resolved.text : fail(resolved.fault)
  }

  const walk = (value: unknown, path: ConfigPath): unknown => {
    if (path.length > MAX_DEPTH) {
      findings.push({ path, message: 'is nested too deeply, or holds itself. Write the values out.' })
      return undefined
    }
    const schema = schemaAt(root, path, input)
    const secret = schema === undefined ? undefined : notesOf(schema).secret
    if (typeof value === 'string') return text(value, path, secret)
    if (secret !== undefined && value !== undefined && value !== null) {
      findings.push({ path, message: PLAIN_SECRET })
      return value
    }
    if (Array.isArray(value)) return value.map((item, index) => walk(item, [...path, index]))
    if (typeof value !== 'object' || value === null) return value
    if (!isPlainObject(value)) {
      // The schema would check only own keys: a Map of settings would pass as an empty mapping.
      findings.push({ path, message: 'must be a plain object or list, not an object of a class.' })
      return value
    }
    const copy: Record<string, unknown> = {}
    for (const [key, item] of Object.entries(value)) {
      // Defined, not assigned, so that a key named __proto__ stays a key and is refused as unknown.
      Object.defineProperty(copy, key, {
        value: walk(item, [...path, key]),
        enumerable: true,
        writable: true,
        configurable: true,
      })
    }
    return copy
  }

  return { value: walk(input, []), findings }
}

/** Whether a value is a plain mapping, as YAML or an object literal creates it. */
export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
