/** Schema issues in words that teach. No configured value is repeated: it might be a secret in the wrong place. */
import { closest, distance } from 'fastest-levenshtein'
import { z } from 'zod'
import { isPlanned, isPlannedPayerKind } from './planned-kinds.ts'
import { printable, type ConfigPath } from './problems.ts'
import { choicesOf, keysOf, mappings, notesOf, patternOf, schemaAt, unwrap } from './schema-walk.ts'
import { REFERENCE_HELP } from './secrets.ts'

/** A mistake before it has a file and a line. */
export interface RouteFinding {
  readonly path: ConfigPath
  readonly message: string
}

type Issue = z.core.$ZodIssue

/**
 * @param root the schema that raised the issue
 * @param written the value at a path, as it stands in the configuration
 */
export function explainIssue(
  issue: Issue,
  root: z.core.$ZodType,
  written: (path: ConfigPath) => unknown,
): RouteFinding[] {
  const path = issue.path.map((segment) => (typeof segment === 'number' ? segment : String(segment)))
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      path: [...path, key],
      message: explainKey(root, path, key, written([])),
    }))
  }
  return [{ path, message: explainValue(issue, root, path, written) }]
}

/**
 * A key the schema does not have: planned, in the wrong place, or misspelt.
 * @param value the whole configuration as written
 */
export function explainKey(root: z.core.$ZodType, parent: ConfigPath, key: string, value?: unknown): string {
  const pattern = patternOf(root, [...parent, key])
  if (isPlanned(pattern)) return 'is not there yet in this version. Remove it.'
  if (key === '<<') return 'is a YAML merge key, which is not supported. Write the values out.'
  const known = keysOf(schemaAt(root, parent, value))
  const near = nearest(key, known)
  if (near !== undefined && distance(key.toLowerCase(), near) <= Math.max(2, Math.floor(near.length / 3))) {
    return `is not a known key. Did you mean ${near}?`
  }
  const elsewhere = mappings(root).find(({ shape }) => Object.hasOwn(shape, key))
  if (elsewhere !== undefined && near !== undefined) {
    return `is not a known key here. It belongs ${elsewhere.pattern === '' ? 'at the top' : `under ${elsewhere.pattern}`}.`
  }
  return `is not a known key. Nearest: ${near ?? 'none'}. Known here: ${known.join(', ')}.`
}

/** Two letters in the wrong order are one slip and two edits, so such a key goes before the fewest edits. */
function nearest(key: string, known: readonly string[]): string | undefined {
  return (
    known.find((other) => isSwapped(key, other)) ?? (known.length === 0 ? undefined : closest(key, known))
  )
}

/** Whether two texts differ by one pair of neighbours that changed places. */
function isSwapped(text: string, other: string): boolean {
  if (text === other || text.length !== other.length) return false
  let at = 0
  while (text[at] === other[at]) at += 1
  return text.slice(0, at) + (text[at + 1] ?? '') + (text[at] ?? '') + text.slice(at + 2) === other
}

function explainValue(
  issue: Issue,
  root: z.core.$ZodType,
  path: ConfigPath,
  written: (path: ConfigPath) => unknown,
): string {
  const value = written(path)
  const schema = schemaAt(root, path, written([]))
  const notes = schema === undefined ? undefined : notesOf(schema)
  const example = notes?.example === undefined ? '' : `, such as ${notes.example}`
  const key = path.findLast((segment) => typeof segment === 'string')
  if (value === undefined && issue.code !== 'invalid_key' && issue.code !== 'custom') {
    return `is missing. Add it${notes?.example === undefined ? '' : `, such as ${key}: ${notes.example}`}.`
  }
  if (value === null) return 'is empty. Give it a value, or remove the key.'
  switch (issue.code) {
    case 'invalid_type':
      return explainType(issue.expected, schema, value, example)
    case 'invalid_union':
      if (issue.discriminator !== undefined)
        return explainShape(root, path, issue.discriminator, value, written([]))
      return notes?.fault ?? `has a value of the wrong kind${example}.`
    case 'too_small':
      return issue.origin === 'array'
        ? 'is an empty list. Name at least one.'
        : `must be at least ${issue.minimum}.`
    case 'too_big':
      return `must be at most ${issue.maximum}.`
    case 'invalid_value':
      return explainChoice(issue.values)
    case 'invalid_key':
      return `is not a usable name: it ${issue.issues[0]?.message ?? 'has characters that names cannot have'}`
    case 'custom':
    case 'invalid_format':
      return issue.message
    case 'not_multiple_of':
    case 'invalid_element':
    case 'unrecognized_keys':
      return `has a value that does not fit${example}.`
    default:
      return issue satisfies never
  }
}

function explainType(
  expected: string,
  schema: z.core.$ZodType | undefined,
  value: unknown,
  example: string,
): string {
  if (schema !== undefined && notesOf(schema).money && typeof value === 'number') {
    return `is a number, and numbers lose digits. Money is a decimal string: put it in quotes${example}.`
  }
  const got = kindOf(value)
  if (expected === 'string' && (typeof value === 'number' || typeof value === 'boolean')) {
    return `must be text, and is read as ${typeof value === 'number' ? 'a number' : got}. Put it in quotes${example}.`
  }
  const inner = schema === undefined ? undefined : unwrap(schema)
  const wanted =
    inner instanceof z.ZodObject || inner instanceof z.ZodRecord
      ? 'a mapping of keys to values'
      : (KINDS[expected] ?? 'another kind of value')
  return `must be ${wanted}${example}, not ${got}.`
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  array: 'a list',
  object: 'a mapping of keys to values',
  record: 'a mapping of keys to values',
}

const GOT: Readonly<Record<string, string>> = {
  number: 'a number',
  string: 'text',
  boolean: 'true or false',
  object: 'a mapping',
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'number' && !Number.isInteger(value))
    return Number.isFinite(value) ? 'a fraction' : 'infinity'
  return GOT[typeof value] ?? `a ${typeof value}`
}

/** A discriminator, e.g. `kind`, that chooses no known shape. */
function explainShape(
  root: z.core.$ZodType,
  path: ConfigPath,
  key: string,
  value: unknown,
  whole: unknown,
): string {
  // With the whole, so that a shape chosen further out leaves its own choices only.
  const parent = schemaAt(root, path.slice(0, -1), whole)
  const choices = [...new Set(parent === undefined ? [] : choicesOf(parent, key))]
  return patternOf(root, path) === 'payers.*.kind' && isPlannedPayerKind(value)
    ? `is a kind of payer that is not there yet in this version. Use ${choices.join(', ')}.`
    : explainChoice(choices)
}

function explainChoice(choices: readonly unknown[]): string {
  const list = choices.map((choice) => printable(String(choice))).join(', ')
  return `must be ${choices.length === 1 ? '' : 'one of '}${list}.`
}

/** What a secret that is not a reference is told. */
export const PLAIN_SECRET =
  `holds a secret in plain text, or something that is not one reference. ${REFERENCE_HELP} ` +
  'If a real key stood here, replace it: the file may have been copied.'
