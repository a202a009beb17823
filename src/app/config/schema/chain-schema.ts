/** Tokens, and the nodes that prove the outcome of payments. */
import { z } from 'zod'
import * as onChain from './chain-fields.ts'
import * as leaf from './scalar-fields.ts'

const DAY_SECONDS = 86_400

export const asset = z.strictObject({
  network: onChain.network().meta({ description: 'Alias or CAIP-2 id.', example: 'eip155:1' }),
  address: onChain.anyAddress().meta({
    description: 'Contract address of the token; on Solana its mint.',
    example: '"0x0b010000b7624eb9b3dfbc279673c76e9d29d5f7"',
  }),
  symbol: leaf
    .symbol()
    .meta({ description: 'Shown in reports, and what a budget in this token names.', example: 'OBOL' }),
  decimals: z.int().min(0).max(36).meta({ description: 'Decimals of the token contract.', example: '18' }),
  usd: leaf.rate().optional().meta({
    description: 'USD value of one whole token. Without it the token is refused under USD limits.',
    example: '"0.05"',
  }),
  name: z.string().min(1).max(100).optional().meta({
    description: 'EIP-712 domain name of the contract; together with version. Needed for EIP-3009 payments.',
    example: 'Obol Network',
  }),
  version: z
    .string()
    .min(1)
    .max(20)
    .optional()
    .meta({ description: 'EIP-712 domain version of the contract.', example: '"1"' }),
  methods: z
    .array(z.enum(['eip3009', 'permit2']))
    .min(1)
    .optional()
    .meta({
      description:
        'On EVM networks: how the contract can be paid with; both if unset. Tokens without EIP-3009 are paid by Permit2 only.',
      example: '[permit2]',
    }),
  program: z.enum(['spl-token', 'token-2022']).optional().meta({
    description: 'On Solana: the program that owns the mint; `spl-token` if unset.',
    example: 'token-2022',
  }),
})

export const chain = z.strictObject({
  rpc: leaf.rpcUrl().meta({
    description:
      'JSON-RPC address of a node you trust; it must serve eth_call at its final block, eth_getLogs and receipts; on Solana getSignaturesForAddress and getTransaction.',
    example: '"https://rpc.example.com/${env:RPC_KEY}"',
  }),
  finality: z.enum(['finalized', 'safe']).default('finalized').meta({
    description:
      'Which blocks are trusted: `finalized` can never be replaced; `safe` comes minutes earlier, and only a failure of the network replaces it. Solana is always read finalized.',
    example: 'finalized',
  }),
})

export const reconcile = z
  .strictObject({
    interval_seconds: leaf
      .seconds(DAY_SECONDS)
      .prefault(60)
      .meta({ description: 'Time between two checks of the chains.', example: '60' }),
  })
  .prefault({})
  .meta({ description: 'How often unresolved payments are checked against the chains.' })
