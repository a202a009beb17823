/** The options of `solana`, read once. */
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { findNetwork, solanaNetworkNames } from '../../src/core/money/assets.ts'
import { isSolanaNetwork } from '../../src/core/money/address.ts'
import { systemClock, type Clock } from '../../src/core/clock.ts'
import type { RandomBytes } from '../../src/core/ids.ts'
import { systemTimers, type Timers } from '../../src/core/timers.ts'
import { unknownName } from '../../src/io/names/nearest-name.ts'
import { KEY_REFERENCE } from '../shared/signer-reference.ts'

const NETWORK = z.string().transform((name, context) => {
  const id = findNetwork(name)?.id
  if (id !== undefined && isSolanaNetwork(id)) return id
  context.addIssue({
    code: 'custom',
    message: unknownName('Solana network', name, solanaNetworkNames()),
  })
  return z.NEVER
})

/** Strict: an unknown option is a mistake. */
export const SOLANA_OPTIONS = z
  .strictObject({
    key: KEY_REFERENCE,
    networks: z
      .array(NETWORK, 'list the networks it may pay on, e.g. ["solana"]')
      .min(1, 'list at least one network it may pay on, e.g. ["solana"]')
      .transform((ids) => [...new Set(ids)]),
    nodes: z.record(NETWORK, z.string('give the JSON-RPC address of a node of the network')),
    timeoutMs: z.int('give whole milliseconds').min(1, 'give at least 1 millisecond').default(10_000),
    random: z
      .custom<RandomBytes>((value) => typeof value === 'function', 'give a function (count) => bytes')
      .default(() => randomBytes),
    clock: z
      .custom<Clock>(
        (value) => typeof value === 'object' && value !== null && 'now' in value,
        'give { now() }',
      )
      .default(systemClock),
    timers: z
      .custom<Timers>(
        (value) => typeof value === 'object' && value !== null && 'after' in value,
        'give { after(ms, work) }',
      )
      .default(systemTimers),
  })
  .superRefine(({ networks, nodes }, context) => {
    for (const network of networks) {
      if (nodes[network] !== undefined) continue
      context.addIssue({
        code: 'custom',
        path: ['nodes'],
        message: `name a node of ${network}: a payment on Solana is signed with a recent block hash, and only our own node is believed about how long that is valid`,
      })
    }
  })
