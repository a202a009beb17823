/** Options that payers have in common. */
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { systemClock, type Clock } from '../../src/core/clock.ts'
import type { RandomBytes } from '../../src/core/ids.ts'
import { isSolanaNetwork } from '../../src/core/money/address.ts'
import {
  evmNetworkNames,
  findEvmNetwork,
  findNetwork,
  solanaNetworkNames,
} from '../../src/core/money/assets.ts'
import { systemTimers, type Timers } from '../../src/core/timers.ts'
import { unknownName } from '../../src/io/names/nearest-name.ts'

/** A network's CAIP-2 id from its alias or id. An unknown name is refused with the nearest known one. */
function networkOption(
  kind: string,
  idOf: (name: string) => string | undefined,
  known: () => readonly string[],
) {
  return z.string().transform((name, context) => {
    const id = idOf(name)
    if (id !== undefined) return id
    context.addIssue({ code: 'custom', message: unknownName(kind, name, known()) })
    return z.NEVER
  })
}

export const evmNetwork = networkOption('network', (name) => findEvmNetwork(name)?.id, evmNetworkNames)

export const solanaNetwork = networkOption(
  'Solana network',
  (name) => {
    const id = findNetwork(name)?.id
    return id !== undefined && isSolanaNetwork(id) ? id : undefined
  },
  solanaNetworkNames,
)

/** At least one network, each once. @param example for the messages, such as `base` */
export function networksOption(network: typeof evmNetwork, example: string) {
  return z
    .array(network, `list the networks it may pay on, e.g. ["${example}"]`)
    .min(1, `list at least one network it may pay on, e.g. ["${example}"]`)
    .transform((ids) => [...new Set(ids)])
}

export const timeoutOption = z
  .int('give whole milliseconds')
  .min(1, 'give at least 1 millisecond')
  .default(10_000)

export const randomOption = z
  .custom<RandomBytes>((value) => typeof value === 'function', 'give a function (count) => bytes')
  .default(() => randomBytes)

export const clockOption = z
  .custom<Clock>((value) => typeof value === 'object' && value !== null && 'now' in value, 'give { now() }')
  .default(systemClock)

export const timersOption = z
  .custom<Timers>(
    (value) => typeof value === 'object' && value !== null && 'after' in value,
    'give { after(ms, work) }',
  )
  .default(systemTimers)
