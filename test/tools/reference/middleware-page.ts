/** Makes the pages of `docs/middlewares/`: options and use of the exchange from the code, the rest from `middlewares.ts`. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ERROR_TABLE } from '../../../src/core/error-table.ts'
import { MIDDLEWARES, type Facts } from './middlewares.ts'
import {
  defaultsOf,
  exchangeUse,
  functionComment,
  optionsOf,
  parse,
  ROOT,
  textsOf,
  type Option,
} from './parse.ts'

const NOTE =
  '<!-- Made by `node test/tools/render-docs.ts` from middleware/ and test/tools/reference/middlewares.ts. -->'

/** Where options stand that several middlewares have. */
const SHARED = ['middleware/http/chain/ledger-source.ts']

/** Interfaces that options are made of, shown below them. */
const PARTS: Readonly<Record<string, readonly [string, string][]>> = {
  budgetGuard: [['PlainBudget', 'middleware/http/options/budget-option.ts']],
  caller: [['Caller', 'middleware/caller.ts']],
  modelRouter: [['Route', 'src/core/routing/route.ts']],
  paymentInterceptor: [['PolicyOptions', 'middleware/http/options/policy-option.ts']],
}

/** The source files of a middleware: its own, and those of its inner folder; the payment engine is the interceptor's. */
export function filesOf({ name, file }: Facts): string[] {
  const inner = name === 'paymentInterceptor' ? 'src/payment' : `middleware/${file}`
  const names = existsSync(join(ROOT, inner)) ? readdirSync(join(ROOT, inner)) : []
  return [
    `middleware/${file}.ts`,
    ...names.filter((one) => one.endsWith('.ts')).map((one) => `${inner}/${one}`),
  ]
}

/** Codes that stand in its source files. */
export function codesIn(facts: Facts): string[] {
  const texts = filesOf(facts).flatMap((file) => [...textsOf(parse(file))])
  return [...new Set(texts)].filter((text) => Object.hasOwn(ERROR_TABLE, text))
}

/** The pages by file name under `docs/`. */
export const MIDDLEWARE_PAGES: Readonly<Record<string, () => string>> = Object.fromEntries(
  MIDDLEWARES.map((facts) => [`middlewares/${facts.file}.md`, () => page(facts)]),
)

function page(facts: Facts): string {
  const { name, file, order, errors, example } = facts
  const source = parse(`middleware/${file}.ts`)
  return [
    `# ${name}`,
    NOTE,
    sentences(functionComment(source, name)),
    '## Options',
    optionsTable(facts),
    '## Exchange',
    exchangeText(facts),
    '## Errors',
    errors.length === 0
      ? 'None of its own. A mistake in the options is a `ConfigError` at mount.'
      : `A mistake in the options is a \`ConfigError\` at mount. A request can end with ${errors.map(codeLink).join(', ')}.`,
    '## Order',
    order,
    '## Example',
    `<!-- example -->\n\`\`\`js\n${example.trimEnd()}\n\`\`\``,
    'All middlewares: [Middlewares in your own app](../middlewares.md).\n',
  ].join('\n\n')
}

/** Without what the signature and the tables say already. */
function sentences(comment: string): string {
  return comment.replaceAll(/\s*@throws[^@]*/g, '').trim()
}

const codeLink = (code: string): string => `[\`${code}\`](../errors.md#${code})`

function optionsTable({ name, file, options }: Facts): string {
  if (options === undefined) return 'None.'
  const source = parse(`middleware/${file}.ts`)
  const own = table(optionsOf([source, ...SHARED.map(parse)], options), defaultsOf(source))
  const parts = (PARTS[name] ?? []).map(([type, from]) => {
    const declared = optionsOf([parse(from)], type).map((option) =>
      type === 'Route' ? asPlain(option) : option,
    )
    return `### ${type}\n\n${table(declared, new Map())}`
  })
  return [own, ...parts].join('\n\n')
}

/** `PlainRoute`: of a `Route`, two members are required. */
function asPlain(option: Option): Option {
  return { ...option, isRequired: option.name === 'modelName' || option.name === 'apiBase' }
}

/** What options mean that need no explanation where they are declared. */
const PLAIN: Readonly<Record<string, string>> = {
  clock: 'The time, for tests.',
  log: 'Where faults are logged, e.g. a pino logger.',
  observers: 'Functions that hear of every event.',
  timers: 'Timers, for tests.',
}

function table(options: readonly Option[], defaults: ReadonlyMap<string, string>): string {
  const rows = options.map((option) => {
    const name = option.isRequired ? `**\`${option.name}\`**` : `\`${option.name}\``
    const preset = option.isRequired ? 'required' : (defaults.get(option.name) ?? statedIn(option.meaning))
    return `| ${[name, `\`${option.type}\``, preset, option.meaning || (PLAIN[option.name] ?? '')].map(cell).join(' | ')} |`
  })
  return ['| Option | Type | Default | Meaning |', '| --- | --- | --- | --- |', ...rows].join('\n')
}

/** A default that only the comment states. */
const statedIn = (meaning: string): string =>
  /\b[Dd]efault:? (`[^`]+`|\$?\d[\d.,]*\d|\d)/.exec(meaning)?.[1] ?? ''

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

function exchangeText(facts: Facts): string {
  const sets = new Set<string>()
  const reads = new Set<string>()
  for (const file of filesOf(facts)) {
    const use = exchangeUse(parse(file))
    for (const field of use.sets) sets.add(field)
    for (const field of use.reads) reads.add(field)
  }
  const list = (fields: ReadonlySet<string>): string =>
    fields.size === 0
      ? 'nothing'
      : [...fields]
          .toSorted()
          .map((field) => `\`${field}\``)
          .join(', ')
  return `Of [\`exchangeOf(req)\`](../api.md#exchange) it reads ${list(reads)}.\n\nIt sets ${list(sets)}.`
}
