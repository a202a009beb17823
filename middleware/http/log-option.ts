/** The logger interface of a middleware; pino fits, and so does any object with these two methods. */
import type { Log } from '../../src/core/log.ts'
import { objectWith } from './options.ts'

/** Checks a `log` option. */
export const logOption = objectWith<Log>(
  ['error', 'warn'],
  'give a log with error(fields, message) and warn(fields, message), e.g. a pino logger',
)
