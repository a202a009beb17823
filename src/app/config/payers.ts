/** The entries of `payers`, one shape per kind. A kind that is planned and not built stands in `not-yet.ts`. */
import { z } from 'zod'
import * as leaf from './leaves.ts'

const direct = z.strictObject({
  kind: z
    .literal('direct')
    .meta({ description: 'How it pays: `direct` signs with a key.', example: 'direct' }),
  key: leaf.walletKey().meta({
    description:
      'The private key: 0x and 64 hex digits. Read only by the signing thread; a file must have mode 0600 or 0400.',
    example: '"${env:TOLLWAY_WALLET_KEY}"',
  }),
  networks: z
    .array(leaf.network())
    .min(1)
    .meta({ description: 'Networks it may pay on, by alias or CAIP-2 id.', example: '[base-sepolia]' }),
})

/** One entry of `payers`. */
export const payer = z.discriminatedUnion('kind', [direct])

/** What {@link payer} gives. */
export type CheckedPayer = z.output<typeof payer>
