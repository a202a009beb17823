/** Turns schema issues into helpful messages. They never repeat a configured value, which could be a misplaced secret. */
import { z } from 'zod'
import { nearestName, suggestName } from '../../../io/names/nearest-name.ts'
import { isPlanned, isPlannedPayerKind } from '../values/planned-kinds.ts'
import { printable, type ConfigPath } from '../values/problems.ts'
import { choicesOf, keysOf, mappings, notesOf, patternOf, schemaAt, unwrap } from './schema-walk.ts'
import { REFERENCE_HELP } from '../values/secrets.ts'

/** A mistake whose file and line are not yet known. */
export interface RouteFinding {
  readonly path: ConfigPath
  readonly message: string
}

type Issue = z.core.$ZodIssue

/**
 * @param root the schema that raised the issue
 * @param written the value at a path, as written in the configuration
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
  if (isPlanned(pattern)) return 'is not supported yet in this version. Remove it.'
  if (key === '<<') return 'is a YAML merge key, which is not supported. Write the values out.'
  const known = keysOf(schemaAt(root, parent, value))
  const near = nearestName(key, known)
  if (near !== undefined) return `is not a known key. Did you mean "${near}"?`
  const elsewhere = mappings(root).find(({ shape }) => Object.hasOwn(shape, key))
  if (elsewhere !== undefined && known.length > 0) {
    return `is not a known key here. It belongs ${elsewhere.pattern === '' ? 'at the top' : `under ${elsewhere.pattern}`}.`
  }
  return `is not a known key. ${suggestName(key, known)}`
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
      return explainChoice(issue.values, value)
    case 'invalid_key':
      return explainName(issue.issues[0]?.message)
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

function explainName(fault = 'contains characters that are not allowed in names'): string {
  return fault.startsWith('unknown ') || fault.startsWith('is not a known key')
    ? fault
    : `is not a usable name: it ${fault}`
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

/** A discriminator, e.g. `kind`, that selects no known shape. */
function explainShape(
  root: z.core.$ZodType,
  path: ConfigPath,
  key: string,
  value: unknown,
  whole: unknown,
): string {
  // With the whole configuration, so that an outer discriminator already narrows the choices.
  const parent = schemaAt(root, path.slice(0, -1), whole)
  const choices = [...new Set(parent === undefined ? [] : choicesOf(parent, key))]
  return patternOf(root, path) === 'payers.*.kind' && isPlannedPayerKind(value)
    ? `is a kind of payer that this version does not support yet. Use ${choices.join(', ')}.`
    : explainChoice(choices, value)
}

function explainChoice(choices: readonly unknown[], value: unknown): string {
  const names = choices.map((choice) => printable(String(choice)))
  const near = typeof value === 'string' ? nearestName(value, names) : undefined
  const meant = near === undefined ? '' : ` Did you mean "${near}"?`
  return `must be ${names.length === 1 ? '' : 'one of '}${names.join(', ')}.${meant}`
}

/** The message for a secret that is not a reference. */
export const PLAIN_SECRET =
  `holds a secret in plain text, or something that is not one reference. ${REFERENCE_HELP} ` +
  'If this was a real key, replace it: the file may have been copied.'

/** The same in LiteLLM's sections. */
export const PLAIN_LITELLM_SECRET =
  'holds a secret in plain text, or something that is not one reference. Write os.environ/NAME, as in LiteLLM. ' +
  'If this was a real key, replace it: the file may have been copied.'
