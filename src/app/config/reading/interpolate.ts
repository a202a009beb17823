import type { z } from 'zod'
import { PLAIN_SECRET, type RouteFinding } from './explain.ts'
import type { ConfigPath } from '../values/problems.ts'
import { notesOf, schemaAt } from './schema-walk.ts'
import { missingReference, parseReference, resolveText, type SecretContext } from '../values/secrets.ts'

/** A configuration with its references resolved, and what could not be. */
export interface Interpolated {
  /** A copy made of fresh plain objects and lists; a value with a finding stands as it was written. */
  readonly value: unknown
  readonly findings: readonly RouteFinding[]
}

/** Deeper than any configuration; also ends a structure that holds itself. */
const MAX_DEPTH = 12

/**
 * Replaces references by what they stand for, except those of wallet keys, which only the signing thread reads.
 * @param isRead whether the secret at a path is wanted; one that is not stands as it was written, wherever it leads
 */
export function interpolate(
  input: unknown,
  root: z.core.$ZodType,
  context: SecretContext,
  isRead: (path: ConfigPath) => boolean = () => true,
): Interpolated {
  const findings: RouteFinding[] = []

  const text = (value: string, path: ConfigPath, secret: 'text' | 'reference' | undefined): string => {
    const fail = (message: string): string => {
      findings.push({ path, message })
      return value
    }
    if (secret !== undefined) {
      const reference = parseReference(value, context.directory)
      if (reference === undefined) return fail(PLAIN_SECRET)
      if (!isRead(path)) return value
      if (secret === 'reference') {
        const fault = missingReference(reference, context)
        return fault === '' ? value : fail(fault)
      }
    }
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
      // The schema would look only at its own keys: a Map of settings would pass as an empty mapping.
      findings.push({ path, message: 'must be a plain object or list, not an object of a class.' })
      return value
    }
    const copy: Record<string, unknown> = {}
    for (const [key, item] of Object.entries(value)) {
      // Defined, not assigned: a key named __proto__ must stay a key, to be refused as an unknown one.
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

/** Whether a value is a mapping as YAML or an object literal makes it. */
export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
