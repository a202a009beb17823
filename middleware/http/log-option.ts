/** The little a middleware asks of a logger; pino fits, and so does anything with the two methods. */
import { objectWith } from './options.ts'

/** Structured log: fields first, words second, as pino has it. */
export interface Log {
  error(fields: Readonly<Record<string, unknown>>, message: string): void
  warn(fields: Readonly<Record<string, unknown>>, message: string): void
}

/** A log that keeps nothing: the default of every middleware. */
export const silentLog: Log = { error: () => undefined, warn: () => undefined }

/** Checks a `log` option. */
export const logOption = objectWith<Log>(
  ['error', 'warn'],
  'give a log with error(fields, message) and warn(fields, message), e.g. a pino logger',
)
