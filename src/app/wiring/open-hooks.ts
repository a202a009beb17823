/** The hooks of the application around a gateway. */
import { z } from 'zod'
import { hooksSchema } from '../../../middleware/http/options/hooks-option.ts'
import { systemTimers, type Timers } from '../../core/timers.ts'
import { HookRunner, type HookContext } from '../../core/hooks/hook-runner.ts'
import type { Hooks } from '../../core/hooks/hooks.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import { parseOptions } from '../../io/names/parse-options.ts'
import type { BeforeSign } from '../../payment/payment-context.ts'

/** The hooks, opened. */
export interface OpenedHooks {
  readonly runner: HookRunner
  readonly beforeSign: BeforeSign
}

/**
 * Checks hooks.
 * @param name the function that was given them, for the message
 * @throws ConfigError for a name that is none, or a value that is no function
 */
export function readHooks(name: string, hooks: Hooks | undefined): Hooks | undefined {
  return hooks && parseOptions(name, z.object({ hooks: hooksSchema }), { hooks }).hooks
}

/**
 * Opens hooks and adds them to the observers, which are told of every charge and request.
 * @throws ConfigError for a name that is none, or a value that is no function
 */
export function openHooks(
  hooks: Hooks | undefined,
  context: Omit<HookContext, 'timers' | 'observers' | 'isFed'> & {
    readonly timers?: Timers | undefined
    readonly observers: Observer[]
  },
): OpenedHooks | undefined {
  const checked = readHooks('createGateway', hooks)
  if (!checked) return undefined
  const { observers, timers = systemTimers } = context
  const runner = new HookRunner(checked, {
    ...context,
    timers,
    observers: [...observers],
    isFed: true,
  })
  observers.push(runner.charges, runner.requests)
  return { runner, beforeSign: async (payment, signal) => await runner.beforeSign(payment, signal) }
}
