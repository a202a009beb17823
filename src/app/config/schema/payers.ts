/** The entries of `payers`, one shape per kind. A planned kind is listed in `planned-kinds.ts`. */
import { z } from 'zod'
import * as onChain from './chain-fields.ts'
import * as leaf from './scalar-fields.ts'
import { keystore, onePlace } from './key-place.ts'
import { agentcash, obolSidecar } from './payers-external.ts'
import { sellerHeaders } from './seller-headers.ts'
import { obolPool } from './payers-obol.ts'
import { solana } from './payers-solana.ts'

/** The keys that name where a signing key is kept; an entry has exactly one of them. */
const SIGNERS = ['key', 'keystore', 'agentcash_wallet', 'signer'] as const

const signer = z.strictObject({
  url: leaf
    .rpcUrl()
    .meta({ description: 'Base address of the remote signer.', example: 'http://127.0.0.1:9000' }),
  token: leaf
    .headerKey()
    .optional()
    .meta({ description: 'Bearer token that it requires.', example: '"${env:REMOTE_SIGNER_TOKEN}"' }),
  address: onChain.address().optional().meta({
    description: 'Which of its keys pays; needed when it has several.',
    example: '"0x209693bc6afc0c5328ba36faf03c514ef312287c"',
  }),
})

const direct = z
  .strictObject({
    kind: z
      .literal('direct')
      .meta({ description: 'How it pays: `direct` signs with a key.', example: 'direct' }),
    key: leaf.walletKey().optional().meta({
      description:
        'The private key: 0x and 64 hex digits. Read only by the signing thread; a file must have mode 0600 or 0400.',
      example: '"${env:TOLLWAY_WALLET_KEY}"',
    }),
    keystore: keystore.optional().meta({ description: 'An encrypted keystore in place of `key`.' }),
    agentcash_wallet: z.string().min(1).optional().meta({
      description:
        'The wallet file of AgentCash in place of `key`: its path, or `default` for ~/.agentcash/wallet.json.',
      example: 'default',
    }),
    signer: signer.optional().meta({
      description: "A remote signer in place of `key` (Obol's REST): the key stays with it.",
    }),
    networks: z
      .array(onChain.evmNetwork())
      .min(1)
      .meta({ description: 'EVM networks it may pay on, by alias or CAIP-2 id.', example: '[base-sepolia]' }),
    ...sellerHeaders,
  })
  .superRefine((entry, context) => onePlace(entry, SIGNERS, context))

/** One entry of `payers`. */
export const payer = z.discriminatedUnion('kind', [
  direct,
  z.discriminatedUnion('mode', [obolPool, obolSidecar]),
  agentcash,
  solana,
])

/** The output type of {@link payer}. */
export type CheckedPayer = z.output<typeof payer>
