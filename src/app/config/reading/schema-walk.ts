/** Finds the part of the schema that a path refers to, for messages and for the reference. */
import { z } from 'zod'
import type { ConfigPath } from '../values/problems.ts'

/** What the schema says about a value in addition to its type. */
export interface Notes {
  readonly description: string | undefined
  /** As it would be written in YAML. */
  readonly example: string | undefined
  /** `text`: a reference that is resolved. `reference`: one that is left for the signing thread. */
  readonly secret: 'text' | 'reference' | undefined
  readonly money: boolean
  /** Its type in the reference, where the schema does not tell. */
  readonly type: string | undefined
  /** Replaces the message of a type error. */
  readonly fault: string | undefined
}

/** The notes of a schema: from its outermost wrapper that has one, down to the inner schema. */
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
    type: text('type'),
    fault: text('fault'),
  }
}

/** The schema without optional, default and transform around it. */
export function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  let unwrapped = schema
  for (let inner = innerOf(schema); inner !== undefined; inner = innerOf(inner)) unwrapped = inner
  return unwrapped
}

function layers(schema: z.core.$ZodType): z.core.$ZodType[] {
  const found = [schema]
  for (let inner = innerOf(schema); inner !== undefined; inner = innerOf(inner)) found.push(inner)
  return found
}

/** The schema within one wrapper, `undefined` where there is none. */
function innerOf(schema: z.core.$ZodType): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    return schema.def.innerType
  }
  if (!(schema instanceof z.ZodPipe)) return undefined
  // A preprocessed value is described by what it becomes.
  return schema.def.in instanceof z.ZodTransform ? schema.def.out : schema.def.in
}

/** The possible shapes of a mapping: one, or one for each value of its discriminator. */
function shapesOf(schema: z.core.$ZodType): z.ZodObject[] {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodDiscriminatedUnion) return inner.options.flatMap(shapesOf)
  return inner instanceof z.ZodObject ? [inner] : []
}

/**
 * The shape that a value selects by its discriminator; the schema itself if it has only one shape or none is
 * selected.
 */
export function narrow(schema: z.core.$ZodType, value: unknown): z.core.$ZodType {
  const inner = unwrap(schema)
  if (!(inner instanceof z.ZodDiscriminatedUnion) || typeof value !== 'object' || value === null)
    return schema
  const { discriminator } = inner.def
  const chosen: unknown = Object.hasOwn(value, discriminator) ? Reflect.get(value, discriminator) : undefined
  const option = inner.options.find((candidate) => choicesOf(candidate, discriminator).includes(chosen))
  return option === undefined ? schema : narrow(option, value)
}

/** The discriminator values that a key may have; none if the key is not a discriminator. */
export function choicesOf(schema: z.core.$ZodType, key: string): unknown[] {
  return shapesOf(schema).flatMap((shape) => {
    const field = Object.hasOwn(shape.shape, key) ? unwrap(shape.shape[key]) : undefined
    return field instanceof z.ZodLiteral ? [...field.values] : []
  })
}

/** The schema one step below, or `undefined` if there is none. */
function child(schema: z.core.$ZodType, segment: string | number): z.core.$ZodType | undefined {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodDiscriminatedUnion) {
    const option = shapesOf(inner).find(({ shape }) => Object.hasOwn(shape, segment))
    return option === undefined ? undefined : child(option, segment)
  }
  if (inner instanceof z.ZodObject) {
    return typeof segment === 'string' && Object.hasOwn(inner.shape, segment)
      ? inner.shape[segment]
      : undefined
  }
  if (inner instanceof z.ZodArray) return typeof segment === 'number' ? inner.element : undefined
  return inner instanceof z.ZodRecord ? inner.valueType : undefined
}

/**
 * The schema at a path, or `undefined` when the path leaves the known shape.
 * @param value the root value, which selects between shapes; without it any shape with the key is used
 */
export function schemaAt(
  root: z.core.$ZodType,
  path: ConfigPath,
  value?: unknown,
): z.core.$ZodType | undefined {
  let schema: z.core.$ZodType | undefined = root
  let at = value
  for (const segment of path) {
    if (schema === undefined) return undefined
    schema = child(narrow(schema, at), segment)
    at =
      typeof at === 'object' && at !== null && Object.hasOwn(at, segment)
        ? Reflect.get(at, segment)
        : undefined
  }
  return schema === undefined ? undefined : narrow(schema, at)
}

/** The path with `[]` for indexes and `*` for user-chosen names, e.g. `payers.*.key`. */
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

/** The keys of a mapping in the schema, from all its shapes; none for anything else. */
export function keysOf(schema: z.core.$ZodType | undefined): string[] {
  const shapes = schema === undefined ? [] : shapesOf(schema)
  return [...new Set(shapes.flatMap(({ shape }) => Object.keys(shape)))]
}

/** Every mapping of the schema with its pattern ('' for the top). */
export function mappings(
  schema: z.core.$ZodType,
  pattern = '',
): { readonly pattern: string; readonly shape: Readonly<Record<string, z.core.$ZodType>> }[] {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodArray) return mappings(inner.element, `${pattern}[]`)
  if (inner instanceof z.ZodRecord) return mappings(inner.valueType, `${pattern}.*`)
  if (inner instanceof z.ZodDiscriminatedUnion) {
    return shapesOf(inner).flatMap((shape) => mappings(shape, pattern))
  }
  if (!(inner instanceof z.ZodObject)) return []
  const shape: Readonly<Record<string, z.core.$ZodType>> = inner.shape
  return [
    { pattern, shape },
    ...Object.entries(shape).flatMap(([key, value]) =>
      mappings(value, pattern === '' ? key : `${pattern}.${key}`),
    ),
  ]
}
