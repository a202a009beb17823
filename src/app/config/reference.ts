/**
 * Renders docs/configuration.md from the schema, so that the two cannot disagree:
 * `node src/app/config/reference.ts > docs/configuration.md`
 */
import { z } from 'zod'
import { plannedKeys, plannedPayerKinds } from './values/planned-kinds.ts'
import { mappings, notesOf, schemaAt, unwrap, type Notes } from './reading/schema-walk.ts'
import { configSchema } from './schema/schema.ts'

const INTRODUCTION = `# Configuration

One YAML file, given with \`--config\`; programs pass the same shape as an object. \`tollway check\` says what is
wrong with a file, all at once and by line, and what each route would do. A key that is not listed here is an error.

Secrets are references, in quotes: \`"\${env:NAME}"\` for an environment variable, \`"\${file:path}"\` for a file,
\`"\${credential:NAME}"\` for a credential of the service (the file \`NAME\` in \`$CREDENTIALS_DIRECTORY\`, as systemd's \`LoadCredential=\` puts it). A
secret in plain text is an error. References also work inside other texts, such as \`"https://\${env:HOST}/v1"\`.
A file with a secret must not be readable by everybody; one with a wallet key must have mode 0600 or 0400.
Commands that only read (\`budgets\`, \`report\`, \`list\`, ...) look no secret up; those that leave a record (\`keys\`, \`sellers\`) only
\`audit.signing_key\`.

Money is a decimal string in quotes, never a number: \`"5.00"\`. Durations are seconds. Sizes are 1024-based.
Relative paths start at the directory of the file.

Networks: \`base\`, \`base-sepolia\`, \`ethereum\` (also \`mainnet\`), or their CAIP-2 ids.
`

/** The whole document. */
export function renderReference(): string {
  const sections = mappings(configSchema).map(({ pattern, shape }) => section(pattern, Object.entries(shape)))
  const planned = [
    ...plannedKeys().map((key) => `- \`${key}\``),
    ...plannedPayerKinds().map((kind) => `- \`payers.*.kind: ${kind}\``),
  ]
  return [
    INTRODUCTION,
    ...sections,
    `## Not there yet\n\nPlanned, and refused by name until they are built:\n\n${planned.join('\n')}\n`,
  ].join('\n')
}

function section(pattern: string, entries: readonly (readonly [string, z.core.$ZodType])[]): string {
  const title = pattern === '' ? 'Top level' : `\`${pattern}\`${chosenBy(entries)}`
  const about = pattern === '' ? undefined : descriptionOf(pattern)
  const rows = entries.map(([key, schema]) => {
    const notes = notesOf(schema)
    const cells = [
      `\`${key}\``,
      typeOf(schema, notes),
      defaultOf(schema),
      notes.description ?? '',
      exampleOf(notes),
    ]
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  })
  return [
    `## ${title}\n`,
    ...(about === undefined ? [] : [`${about}\n`]),
    '| key | type | default | meaning | example |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n')
}

/** For a mapping with several shapes: the keys and values that select this one. */
function chosenBy(entries: readonly (readonly [string, z.core.$ZodType])[]): string {
  const choices = entries.flatMap(([key, schema]) => {
    const inner = unwrap(schema)
    return inner instanceof z.ZodLiteral ? [`${key}: ${[...inner.values].join(' or ')}`] : []
  })
  return choices.length === 0 ? '' : ` with \`${choices.join(', ')}\``
}

/** The description of the mapping itself; an item uses the description of its list. */
function descriptionOf(pattern: string): string | undefined {
  const path = pattern
    .replaceAll('[]', '.0')
    .split('.')
    .map((segment) => (segment === '0' ? 0 : segment))
  const own = schemaAt(configSchema, path)
  const parent = schemaAt(configSchema, path.slice(0, -1))
  return (own && notesOf(own).description) ?? (parent && notesOf(parent).description)
}

function exampleOf(notes: Notes): string {
  return notes.example === undefined ? '' : `\`${notes.example}\``
}

function typeOf(schema: z.core.$ZodType, notes: Notes): string {
  if (notes.secret !== undefined) return 'secret reference'
  if (notes.money) return 'USD string'
  const inner = unwrap(schema)
  if (inner instanceof z.ZodArray) return `list of ${typeOf(inner.element, notesOf(inner.element))}`
  if (inner instanceof z.ZodObject) return 'mapping'
  if (inner instanceof z.ZodRecord) return 'mapping by name'
  if (inner instanceof z.ZodEnum) return inner.options.map((option) => `\`${option}\``).join(', ')
  if (inner instanceof z.ZodLiteral)
    return [...inner.values].map((value) => `\`${String(value)}\``).join(', ')
  if (inner instanceof z.ZodUnion) return notes.type ?? 'size'
  if (inner instanceof z.ZodBoolean) return '`true`, `false`'
  if (inner instanceof z.ZodNumber) return `${inner.isInt ? 'whole number' : 'number'}, ${bounds(inner)}`
  return 'text'
}

function bounds(schema: z.ZodNumber): string {
  return `${schema.minValue} to ${schema.maxValue}`
}

function defaultOf(schema: z.core.$ZodType): string {
  if (schema instanceof z.ZodOptional) return 'none'
  if (!(schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault)) return '**required**'
  const value: unknown = schema.def.defaultValue
  const isEmpty = typeof value === 'object' && value !== null && Object.keys(value).length === 0
  return isEmpty ? 'empty' : `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``
}

if (import.meta.main) process.stdout.write(renderReference())
