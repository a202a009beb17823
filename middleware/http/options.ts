/** Options that are functions or objects with methods. */
import { z } from 'zod'
import { property } from '../../src/core/property.ts'
import type { Log } from '../../src/core/log.ts'

/** Checks an option that is an object with these methods, e.g. a clock. */
export function objectWith<T>(methods: readonly string[], message: string): z.ZodCustom<T, T> {
  return z.custom<T>(
    (value) => methods.every((method) => typeof property(value, method) === 'function'),
    message,
  )
}

/** Checks an option that is a function. */
export function functionOption<T>(message: string): z.ZodCustom<T, T> {
  return z.custom<T>((value) => typeof value === 'function', message)
}

/** Checks a `log` option. */
export const logOption = objectWith<Log>(
  ['error', 'warn'],
  'give a log with error(fields, message) and warn(fields, message), e.g. a pino logger',
)
