/** Options that payers have in common which let another program sign. */
import { z } from 'zod'
import { evmNetworkNames, findEvmNetwork } from '../../src/core/money/assets.ts'
import { systemTimers, type Timers } from '../../src/core/timers.ts'
import { unknownName } from '../../src/io/names/nearest-name.ts'

const network = z.string().transform((name, context) => {
  const found = findEvmNetwork(name)
  if (found) return found.id
  context.addIssue({
    code: 'custom',
    message: unknownName('network', name, evmNetworkNames()),
  })
  return z.NEVER
})

/** CAIP-2 ids from aliases or CAIP-2 ids, each once. */
export const networksOption = z
  .array(network, 'list the networks it may pay on, e.g. ["base"]')
  .min(1, 'list at least one network it may pay on, e.g. ["base"]')
  .transform((ids) => [...new Set(ids)])

/** How to wait; default the machine's timers. */
export const timersOption = z
  .custom<Timers>(
    (value) => typeof value === 'object' && value !== null && 'after' in value,
    'give { after() }',
  )
  .default(systemTimers)

/** A reservation lasts 30 s: a payment that is signed later could not be used, and its signer would believe it spent. */
const LONGEST_MS = 28_000

/** Longest wait for a payment, milliseconds. */
export const externalTimeout = (standard: number) =>
  z
    .int('give whole milliseconds')
    .min(1, 'give at least 1 millisecond')
    .max(LONGEST_MS, `give at most ${LONGEST_MS}: a reservation lasts 30 s`)
    .default(standard)
