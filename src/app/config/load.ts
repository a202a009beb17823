/** Loads a configuration from a file or an object, and reports every mistake at once. */
import { dirname, resolve } from 'node:path'
import { crossCheck } from './checks/cross-checks.ts'
import { explainIssue, PLAIN_LITELLM_SECRET, PLAIN_SECRET, type RouteFinding } from './reading/explain.ts'
import { readConfigFiles } from './reading/include.ts'
import { interpolate, isPlainObject } from './reading/interpolate.ts'
import { fromLitellm, type Translated } from './litellm/translate.ts'
import { isPlannedPayerKind } from './values/planned-kinds.ts'
import { ConfigProblemsError, formatPath, type ConfigPath, type Problem } from './values/problems.ts'
import { resolveConfig } from './resolve/resolve.ts'
import type { ResolvedConfig } from './resolve/resolved.ts'
import { configSchema } from './schema/schema.ts'
import type { Environment } from './values/secrets.ts'

/** Options of {@link parseConfig}. */
export interface ParseOptions {
  /** Base of relative paths; default: the working directory. */
  readonly directory?: string | undefined
  /** Names of payers that the program brings itself: routes may use them without an entry in `payers`. */
  readonly payers?: readonly string[] | undefined
  /** Whether a gateway of this process runs with an earlier version: the keys that it took out of the environment count as there. */
  readonly again?: boolean | undefined
}

/** Values given on the command line, which replace those of the file. */
export interface Overrides {
  /** `host:port` */
  readonly listen?: string | undefined
  /** See {@link ParseOptions.again}. */
  readonly again?: boolean | undefined
}

/** A configuration with the text it was made from. */
export interface LoadedConfig {
  readonly config: ResolvedConfig
  /** The value at a path as written, with references unresolved: the form that is safe to show. */
  readonly written: (path: ConfigPath) => unknown
  /** Where a path stands, for a message about it. */
  readonly place: (path: ConfigPath) => Omit<Problem, 'message'>
}

/**
 * Checks a configuration given as an object, in the shape of the YAML file.
 * @param env where `${env:NAME}` is looked up; default `process.env`
 * @throws ConfigProblemsError listing every mistake
 */
export function parseConfig(
  input: unknown,
  env: Environment = process.env,
  options: ParseOptions = {},
): ResolvedConfig {
  const place = (path: ConfigPath): Omit<Problem, 'message'> => ({
    file: undefined,
    position: undefined,
    path: formatPath(path),
  })
  const { directory = '.', payers = [], again } = options
  const context = { env, directory: resolve(directory), again }
  return check(fromLitellm(input, env), { ...context, place, ownPayers: payers })
}

/** Whether a value is what {@link parseConfig} or {@link loadConfig} returned. */
export function isResolvedConfig(value: unknown): value is ResolvedConfig {
  return typeof value === 'object' && value !== null && RESOLVED.has(value)
}

const RESOLVED = new WeakSet<object>()

/**
 * Reads and checks a YAML file. Relative paths in it are resolved from its directory.
 * @param env where `${env:NAME}` is looked up
 * @throws ConfigProblemsError listing every mistake with file, line and column
 */
export function loadConfig(
  path: string,
  env: Environment = process.env,
  overrides: Overrides = {},
  { payers }: Pick<ParseOptions, 'payers'> = {},
): ResolvedConfig {
  return load(path, env, overrides, undefined, payers).config
}

/**
 * {@link loadConfig} for a command that needs few secrets or none: the others are not resolved, so that they need
 * not be available to read a ledger or to revoke a key. Never open a gateway with the result: its unresolved keys
 * are the reference texts themselves.
 * @param sections the top-level keys whose secrets are read
 * @throws ConfigProblemsError listing every mistake with file, line and column
 */
export function loadConfigForReading(
  path: string,
  env: Environment,
  sections: readonly (keyof ResolvedConfig)[] = [],
): ResolvedConfig {
  const isRead: IsRead = ([section]) => sections.some((name) => name === section)
  return load(path, env, {}, isRead).config
}

/** {@link loadConfig} for commands that show the configuration to people. */
export function loadConfigWithText(path: string, env: Environment, overrides: Overrides = {}): LoadedConfig {
  return load(path, env, overrides)
}

/** Whether the secret at a path is resolved. */
type IsRead = (path: ConfigPath) => boolean

function load(
  path: string,
  env: Environment,
  overrides: Overrides,
  isRead?: IsRead,
  ownPayers: readonly string[] = [],
): LoadedConfig {
  const files = readConfigFiles(path)
  const fromCommandLine = overrides.listen !== undefined
  const level = env['LOG_LEVEL'] === '' ? undefined : env['LOG_LEVEL']
  const input = withLogLevel(
    fromCommandLine && isPlainObject(files.value)
      ? { ...files.value, listen: overrides.listen }
      : files.value,
    level,
  )
  const elsewhere = (name: string) => ({ file: undefined, position: undefined, path: name })
  const place = (at: ConfigPath): Omit<Problem, 'message'> => {
    if (fromCommandLine && at[0] === 'listen') return elsewhere('--listen')
    if (level !== undefined && formatPath(at) === 'log.level') return elsewhere('LOG_LEVEL')
    return files.place(at)
  }
  const translated = fromLitellm(input, env)
  return {
    config: check(translated, {
      env,
      directory: dirname(resolve(path)),
      again: overrides.again,
      place,
      isRead,
      ownPayers,
    }),
    written: (at) => valueAt(translated.value, at),
    place: (at) => place(translated.origin(at)),
  }
}

/** The environment takes precedence over the file, so that a single run can log more without an edit. */
function withLogLevel(input: unknown, level: string | undefined): unknown {
  if (level === undefined || !isPlainObject(input)) return input
  const { log } = input
  if (log !== undefined && !isPlainObject(log)) return input
  return { ...input, log: { ...log, level: level.toLowerCase() } }
}

/** How a configuration is checked. */
interface CheckContext {
  readonly env: Environment
  readonly directory: string
  readonly again?: boolean | undefined
  readonly place: (path: ConfigPath) => Omit<Problem, 'message'>
  readonly isRead?: IsRead | undefined
  /** See {@link ParseOptions.payers}. */
  readonly ownPayers: readonly string[]
}

function check(
  { value: input, ignored, notes, findings: foreign, origin, isPlaceholder }: Translated,
  { env, directory, again, place, isRead, ownPayers }: CheckContext,
): ResolvedConfig {
  const { value, findings } = interpolate(
    input,
    configSchema,
    { env, directory, again },
    { isRead, isPlaceholder },
  )
  const unresolved = findings.map((finding) => inLitellmForm(finding, origin(finding.path)))
  const result = configSchema.safeParse(value)
  const covered = new Set([...foreign, ...unresolved].map(({ path }) => formatPath(path)))
  const issues = (result.error?.issues ?? [])
    .flatMap((issue) => explainIssue(issue, configSchema, (path) => valueAt(input, path)))
    .filter(({ path }) => !covered.has(formatPath(path)) && !besidePlannedKind(input, path))
    // For an object that is not a mapping, the schema would inspect its methods.
    .filter(() => !covered.has(formatPath([])))
  for (const { path } of issues) covered.add(formatPath(path))
  const crossed = crossCheck(value, input, ownPayers).filter(({ path }) => !covered.has(formatPath(path)))
  const mistakes = [...foreign, ...unresolved, ...issues, ...crossed]
  if (!result.success || mistakes.length > 0) {
    throw new ConfigProblemsError(inOrder(mistakes, (path) => place(origin(path))))
  }
  const config = resolveConfig(result.data, { env, directory }, { ignored, notes })
  RESOLVED.add(config)
  return config
}

/** In LiteLLM's sections the advice is in its own form, which it reads too. */
function inLitellmForm(finding: RouteFinding, path: ConfigPath): RouteFinding {
  const isLitellm = path.includes('litellm_params') || path[0] === 'general_settings'
  return isLitellm && finding.message === PLAIN_SECRET
    ? { ...finding, message: PLAIN_LITELLM_SECRET }
    : finding
}

function inOrder(
  findings: readonly RouteFinding[],
  place: (path: ConfigPath) => Omit<Problem, 'message'>,
): Problem[] {
  return findings
    .map(({ path, message }): Problem => ({ ...place(path), message }))
    .toSorted(
      (a, b) =>
        (a.position?.line ?? 0) - (b.position?.line ?? 0) ||
        (a.position?.column ?? 0) - (b.position?.column ?? 0),
    )
}

/** For a payer of a planned kind only the kind is reported: its other keys may be correct for that kind. */
function besidePlannedKind(input: unknown, path: ConfigPath): boolean {
  const kind =
    path[0] === 'payers' && path.length > 2 ? valueAt(input, [...path.slice(0, 2), 'kind']) : undefined
  return isPlannedPayerKind(kind) && path[2] !== 'kind'
}

function valueAt(root: unknown, path: ConfigPath): unknown {
  let value = root
  for (const segment of path) {
    if (Array.isArray(value) && typeof segment === 'number') value = value[segment]
    else if (isPlainObject(value) && Object.hasOwn(value, segment)) value = value[segment]
    else return undefined
  }
  return value
}
