/** The entries of `payers`, one shape per kind. A kind that is planned and not built stands in `not-yet.ts`. */
import { z } from 'zod'
import * as leaf from './scalar-fields.ts'
import { agentcash, obolSidecar } from './payers-external.ts'
import { obolPool } from './payers-obol.ts'

/** Every way to name where a key is; an entry has exactly one of them. */
const SIGNERS = ['key', 'keystore', 'agentcash_wallet', 'signer'] as const

const keystore = z.strictObject({
  path: z.string().min(1).meta({
    description:
      'The keystore: Web3 Secret Storage version 3, as geth, cast and ethers write it; mode 0600 or 0400.',
    example: './wallet.json',
  }),
  password: leaf.walletKey().meta({
    description: 'Its password. Read only by the signing thread, where the keystore is opened.',
    example: '"${env:WALLET_PASSWORD}"',
  }),
})

const signer = z.strictObject({
  url: leaf
    .rpcUrl()
    .meta({ description: 'Base address of the remote signer.', example: 'http://127.0.0.1:9000' }),
  token: leaf
    .headerKey()
    .optional()
    .meta({ description: 'Bearer token it asks for.', example: '"${env:REMOTE_SIGNER_TOKEN}"' }),
  address: leaf.address().optional().meta({
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
      .array(leaf.network())
      .min(1)
      .meta({ description: 'Networks it may pay on, by alias or CAIP-2 id.', example: '[base-sepolia]' }),
  })
  .superRefine((entry, context) => {
    const given = SIGNERS.filter((name) => entry[name] !== undefined)
    const [first, second] = given
    if (second !== undefined) {
      context.addIssue({
        code: 'custom',
        path: [second],
        message: `cannot be combined with ${first}: a payer has one key. Keep one of ${SIGNERS.join(', ')}.`,
      })
    }
    if (first === undefined) {
      context.addIssue({
        code: 'custom',
        path: ['key'],
        message:
          'is missing. Add it, such as key: "${env:TOLLWAY_WALLET_KEY}", or one of keystore, agentcash_wallet, signer in its place.',
      })
    }
  })

/** One entry of `payers`. */
export const payer = z.discriminatedUnion('kind', [
  direct,
  z.discriminatedUnion('mode', [obolPool, obolSidecar]),
  agentcash,
])

/** What {@link payer} gives. */
export type CheckedPayer = z.output<typeof payer>
