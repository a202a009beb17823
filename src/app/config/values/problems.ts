import { ConfigError } from '../../../core/errors.ts'

/** A path in a configuration: keys and list indexes from the top, e.g. `['budgets', 0, 'limit_usd']`. */
export type ConfigPath = readonly (string | number)[]

/** A position in a file; line and column count from 1. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** One mistake in a configuration. Never holds a configured value: it might be a secret in the wrong place. */
export interface Problem {
  /** The path in readable form, e.g. `budgets[0].limit_usd`; '' for the file as a whole. */
  readonly path: string
  /** What is wrong and how to fix it. */
  readonly message: string
  /** The file as named by the user, or the command-line option at fault; `undefined` for a plain object. */
  readonly file: string | undefined
  readonly position: Position | undefined
}

/** All mistakes of one configuration; the message lists one per line. */
export class ConfigProblemsError extends ConfigError {
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join('\n'))
    this.problems = problems
  }
}

/** `tollway.yaml:12:5 budgets[0].limit_usd: what is wrong and how to fix it`. */
export function formatProblem(problem: Problem): string {
  const at = problem.position === undefined ? '' : `:${problem.position.line}:${problem.position.column}`
  const place = [problem.file === undefined ? '' : `${problem.file}${at}`, problem.path].filter(
    (part) => part !== '',
  )
  return place.length === 0
    ? `the configuration ${problem.message}`
    : `${place.join(' ')}: ${problem.message}`
}

const PLAIN_KEY = /^[A-Za-z_][A-Za-z0-9_-]{0,59}$/

/** Formats a path for people: `budgets[0].limit_usd`, `policy.sellers["https://…"].pay_to[1]`. */
export function formatPath(path: ConfigPath): string {
  let text = ''
  for (const segment of path) {
    if (typeof segment === 'number') text += `[${segment}]`
    else if (PLAIN_KEY.test(segment)) text += text === '' ? segment : `.${segment}`
    else text += `["${printable(segment)}"]`
  }
  return text
}

/** Makes a key of the file safe for a message: printable ASCII, at most 60 characters. */
export function printable(text: string): string {
  const clean = text.replace(/[^\x20-\x7e]/g, '?')
  return clean.length > 60 ? `${clean.slice(0, 57)}...` : clean
}
