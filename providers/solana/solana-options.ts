/** The options of `solana`, read once. */
import { z } from 'zod'
import {
  clockOption,
  networksOption,
  randomOption,
  solanaNetwork,
  timeoutOption,
  timersOption,
} from '../shared/payer-options.ts'
import { KEY_REFERENCE } from '../shared/signer-reference.ts'

/** Strict: an unknown option is a mistake. */
export const SOLANA_OPTIONS = z
  .strictObject({
    key: KEY_REFERENCE,
    networks: networksOption(solanaNetwork, 'solana'),
    nodes: z.record(solanaNetwork, z.string('give the JSON-RPC address of a node of the network')),
    timeoutMs: timeoutOption,
    random: randomOption,
    clock: clockOption,
    timers: timersOption,
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
