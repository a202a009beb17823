/** The gateway's log: pino's JSON lines or readable text, with secrets removed. */
import { writeSync } from 'node:fs'
import { pino, stdSerializers, type DestinationStream, type Logger } from 'pino'
import { visible, visibleLine } from '../../core/visible.ts'
import type { LogLevel, ResolvedConfig } from '../config/resolve/resolved.ts'
import type { RequestContexts } from './request-context.ts'

/** Options of {@link createLogger}. */
export interface LoggerOptions {
  readonly level: LogLevel
  readonly format: 'json' | 'text'
  /** Texts that must never be written; more may be added to a set while the log is in use. */
  readonly secrets?: Iterable<string> | undefined
  /** Puts the request id on each line. */
  readonly contexts?: RequestContexts | undefined
  /** Receives one line including its line break; default standard error. */
  readonly write?: ((line: string) => void) | undefined
}

/** JSON fields whose name indicates a secret. */
const SECRET_FIELD =
  /("(?:proxy-)?authorization"|"(?:set-)?cookie"|"x-payment"|"payment-signature"|"(?:x-)?api[-_]?key"|"private_?key"|"signature"|"password"|"secret")\s*:\s*"(?:[^"\\]|\\.)*"/gi
/** The same inside a string that is itself JSON, e.g. a seller's answer quoted in an error. */
const QUOTED_FIELD =
  /((\\+)"(?:(?:proxy-)?authorization|(?:set-)?cookie|x-payment|payment-signature|(?:x-)?api[-_]?key|private_?key|signature|password|secret)\2"\s*:\s*\2")[^"\\]*(?=\2")/gi
/** Matches a signature or a signed payload by its format: it is worth money as long as it is unspent. */
const SIGNATURE = /(?:0x)?[0-9a-f]{130}(?![0-9a-f])/gi
const PAYLOAD = /eyJ[\w+/=-]{64,}/g
const BEARER = /\b(Bearer|Basic)\s+[\w.~+/=-]+/gi
const USER_INFO = /(https?:\/\/)[^/\s"'@]+@/gi
const CENSOR = '[redacted]'

/** Shorter secrets would remove ordinary words from the log. */
const MIN_SECRET = 6

/** Creates the log. Lines are written synchronously, so a crash loses none. */
export function createLogger(options: LoggerOptions): Logger {
  const { level, format, contexts } = options
  const clean = redactor(options.secrets ?? [])
  const write = options.write ?? ((line: string) => writeToStderr(line))
  const destination: DestinationStream = {
    write(line) {
      const safe = clean(line)
      write(visible(format === 'text' ? wordsOf(safe) : safe))
    },
  }
  return pino(
    {
      name: 'tollway',
      level,
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: errorFields },
      ...(contexts ? { mixin: () => ({ requestId: contexts.getStore()?.requestId }) } : {}),
      // The request's own fields take precedence over its context.
      mixinMergeStrategy: (own: object, mixed: object) => ({ ...mixed, ...own }),
    },
    destination,
  )
}

/** The secrets in a configuration. Wallet keys are not among them: they never reach this thread (rule 8). */
export function secretsOf(
  config: Pick<ResolvedConfig, 'upstream' | 'routes' | 'chains' | 'audit' | 'notify'>,
): string[] {
  const keys = [
    config.upstream?.apiKey,
    ...config.routes.map((route) => route.apiKey),
    ...[...config.chains.values()].flatMap(({ rpc }) => secretPieces(rpc)),
    ...(config.notify ? [config.notify.secret, ...secretPieces(config.notify.url)] : []),
    ...(config.audit.signingKey ?? '').split('\n').filter((line) => !line.startsWith('-----')),
  ]
  return keys.filter((key) => key !== undefined).filter((key) => key.length >= MIN_SECRET)
}

/** Node operators put keys into paths and queries. */
function secretPieces(rpc: string): string[] {
  const { pathname, search, searchParams, username, password } = new URL(rpc)
  const pieces = [...pathname.split('/'), ...searchParams.values()].filter((part) => part.length >= 16)
  const named = [...searchParams].flatMap(([name, value]) =>
    /key|token|secret|auth/i.test(name) ? [value] : [],
  )
  return [...pieces, ...named, search.slice(1), username, password]
}

/** The secrets of every configuration that was in force: what began under an earlier one may still name them. */
export function liveSecrets(config: ResolvedConfig): {
  readonly known: ReadonlySet<string>
  readonly add: (config: ResolvedConfig) => void
} {
  const known = new Set(secretsOf(config))
  return {
    known,
    add(next) {
      for (const secret of secretsOf(next)) known.add(secret)
    },
  }
}

/** Removes every secret from a line. @param secrets read for every line */
export function redactor(secrets: Iterable<string>): (line: string) => string {
  return (line) => {
    let safe = line
      .replace(SECRET_FIELD, `$1:"${CENSOR}"`)
      .replace(QUOTED_FIELD, `$1${CENSOR}`)
      .replace(SIGNATURE, CENSOR)
      .replace(PAYLOAD, CENSOR)
      .replace(BEARER, `$1 ${CENSOR}`)
      .replace(USER_INFO, '$1')
    for (const secret of secrets) {
      safe = safe.replaceAll(secret, CENSOR)
      const escaped = JSON.stringify(secret).slice(1, -1)
      if (escaped !== secret) safe = safe.replaceAll(escaped, CENSOR)
    }
    return safe
  }
}

/** An error's message and stack; properties that a library attached to it (requests, headers) are omitted. */
function errorFields(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { type, message, stack } = stdSerializers.err(error)
  const code = 'code' in error ? { code: String(error.code) } : {}
  return { type, message, stack, ...code }
}

const LABELS: Readonly<Record<string, string>> = pino.levels.labels
const SHOWN_APART: ReadonlySet<string> = new Set(['level', 'time', 'pid', 'hostname', 'name', 'msg', 'err'])

function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function wordsOf(line: string): string {
  const parsed: unknown = JSON.parse(line)
  const { level, time, msg, err, ...rest }: Record<string, unknown> = isFields(parsed) ? parsed : {}
  const label = (LABELS[String(level)] ?? '').toUpperCase().padEnd(5)
  const fields = Object.entries(rest)
    .filter(([name]) => !SHOWN_APART.has(name))
    .map(
      ([name, value]) => `${name}=${visibleLine(typeof value === 'string' ? value : JSON.stringify(value))}`,
    )
  const stack = typeof err === 'object' && err !== null && 'stack' in err ? `\n${String(err.stack)}` : ''
  const columns = [String(time), label, typeof msg === 'string' ? visibleLine(msg) : '', ...fields]
  return `${columns.filter((column) => column !== '').join(' ')}${stack}\n`
}

function writeToStderr(line: string): void {
  try {
    writeSync(2, line)
  } catch (error) {
    // The reader has gone (EPIPE) or the pipe is full (EAGAIN): a request must not fail because of a log line.
    if (!(error instanceof Error && 'code' in error)) throw error
  }
}
