/** A payer that signs on Solana. */
import { z } from 'zod'
import { keystore, onePlace } from './key-place.ts'
import { sellerHeaders } from './seller-headers.ts'
import * as onChain from './chain-fields.ts'
import * as leaf from './scalar-fields.ts'

const PLACES = ['key', 'keystore', 'agentcash_wallet'] as const

export const solana = z
  .strictObject({
    kind: z.literal('solana').meta({
      description: 'How it pays: `solana` signs payments on Solana with a key.',
      example: 'solana',
    }),
    key: leaf.walletKey().optional().meta({
      description:
        'The key: a file of solana-keygen (mode 0600 or 0400), or base58 of 64 or 32 bytes. Read only by the signing thread.',
      example: '"${file:./solana-wallet.json}"',
    }),
    keystore: keystore
      .optional()
      .meta({ description: 'An encrypted keystore of the 32 bytes of a seed in place of `key`.' }),
    agentcash_wallet: z.string().min(1).optional().meta({
      description:
        'The Solana wallet of AgentCash in place of `key`: its path, or `default` for ~/.agentcash/solana-wallet.json.',
      example: 'default',
    }),
    networks: z.array(onChain.solanaNetwork()).min(1).meta({
      description:
        'Solana networks it may pay on: solana, solana-devnet, or CAIP-2 ids. Each needs its node under chains.',
      example: '[solana]',
    }),
    ...sellerHeaders,
  })
  .superRefine((entry, context) => onePlace(entry, PLACES, context))
