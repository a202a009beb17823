/** Finding the part of the schema that a path leads to: for messages and for the reference. */
import { z } from 'zod'
import type { ConfigPath } from './problems.ts'

/** What the schema says about a value beside its type. */
export interface Notes {
  readonly description: string | undefined
  /** As it would be written in YAML. */
  readonly example: string | undefined
  /** `text`: a reference that is resolved. `reference`: one that is left for the signing thread. */
  readonly secret: 'text' | 'reference' | undefined
  readonly money: boolean
  /** Replaces the words of a type error. */
  readonly fault: string | undefined
}

/** The notes of a schema: of its outermost wrapper that has one, down to the schema inside. */
export function notesOf(schema: z.core.$ZodType): Notes {
  const notes = layers(schema).map((layer) => z.globalRegistry.get(layer) ?? {})
  const text = (key: string): string | undefined =>
    notes.map((note) => note[key]).find((value): value is string => typeof value === 'string')
  const secret = text('secret')
  return {
    description: text('description'),
    example: text('example'),
    secret: secret === 'text' || secret === 'reference' ? secret : undefined,
    money: notes.some((note) => note['money'] === true),
    fault: text('fault'),
  }
}

/** The schema without optional, default and transform around it. */
export function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  return layers(schema).at(-1) ?? schema
}

function layers(schema: z.core.$ZodType): z.core.$ZodType[] {
  const inner =
    schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault
      ? schema.def.innerType
      : schema instanceof z.ZodPipe
        ? schema.def.in
        : undefined
  return inner === undefined ? [schema] : [schema, ...layers(inner)]
}

/** The schema one step below, or `undefined` where the step leads nowhere. */
function child(schema: z.core.$ZodType, segment: string | number): z.core.$ZodType | undefined {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodObject) {
    return typeof segment === 'string' && Object.hasOwn(inner.shape, segment)
      ? inner.shape[segment]
      : undefined
  }
  if (inner instanceof z.ZodArray) return typeof segment === 'number' ? inner.element : undefined
  return inner instanceof z.ZodRecord ? inner.valueType : undefined
}

/** The schema at a path, or `undefined` when the path leaves the known shape. */
export function schemaAt(root: z.core.$ZodType, path: ConfigPath): z.core.$ZodType | undefined {
  let schema: z.core.$ZodType | undefined = root
  for (const segment of path) {
    if (schema === undefined) return undefined
    schema = child(schema, segment)
  }
  return schema
}

/** The path with `[]` for indexes and `*` for names of the user's choice, e.g. `payers.*.key`. */
export function patternOf(root: z.core.$ZodType, path: ConfigPath): string {
  let text = ''
  let schema: z.core.$ZodType | undefined = root
  for (const segment of path) {
    const inner: z.core.$ZodType | undefined = schema === undefined ? undefined : unwrap(schema)
    if (typeof segment === 'number') text += '[]'
    else text += `${text === '' ? '' : '.'}${inner instanceof z.ZodRecord ? '*' : segment}`
    schema = schema === undefined ? undefined : child(schema, segment)
  }
  return text
}

/** The keys of a mapping in the schema; none for anything else. */
export function keysOf(schema: z.core.$ZodType | undefined): string[] {
  const inner = schema === undefined ? undefined : unwrap(schema)
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : []
}

/** Every mapping of the schema with its pattern ('' for the top). */
export function mappings(
  schema: z.core.$ZodType,
  pattern = '',
): { readonly pattern: string; readonly shape: Readonly<Record<string, z.core.$ZodType>> }[] {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodArray) return mappings(inner.element, `${pattern}[]`)
  if (inner instanceof z.ZodRecord) return mappings(inner.valueType, `${pattern}.*`)
  if (!(inner instanceof z.ZodObject)) return []
  const shape: Readonly<Record<string, z.core.$ZodType>> = inner.shape
  return [
    { pattern, shape },
    ...Object.entries(shape).flatMap(([key, value]) =>
      mappings(value, pattern === '' ? key : `${pattern}.${key}`),
    ),
  ]
}
