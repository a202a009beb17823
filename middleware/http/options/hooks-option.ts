/** The option `hooks`: functions of the application that middlewares call. */
import { z } from 'zod'
import type { Hooks, HookPoint } from '../../../src/core/hooks/hooks.ts'
import { functionOption } from '../options.ts'

const point = <P extends HookPoint>(name: P) =>
  functionOption<NonNullable<Hooks[P]>>(`${name} is a function`).optional()

/** Checks hooks; names that are none are refused with the nearest one. */
export const hooksSchema = z.strictObject({
  beforeSign: point('beforeSign'),
  afterSettle: point('afterSettle'),
  onUncertain: point('onUncertain'),
  onRefused: point('onRefused'),
  onRequest: point('onRequest'),
  timeoutMs: z
    .int('give whole milliseconds')
    .min(1, 'give at least 1 millisecond')
    .max(300_000, 'give at most 300000 milliseconds')
    .optional(),
} satisfies Record<keyof Hooks, z.ZodType>)
