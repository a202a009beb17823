/** The request to the Solana worker. Both sides validate what they receive; responses are as in signer-protocol.ts. */
import { z } from 'zod'
import { isSolanaAddress } from '../../../core/solana/address.ts'
import { MAX_UNIT_PRICE } from '../../../core/solana/payment.ts'
import { TOKEN_2022_PROGRAM, TOKEN_PROGRAM } from '../../../core/solana/programs.ts'
import { MAX_BATCH, signInRequest } from '../signer-protocol.ts'

const address = z.string().refine(isSolanaAddress)

/** A payment: no other transaction is ever signed, and beside payments only sign-ins. The range of its numbers is checked when its message is built. */
const PAYMENT = z.strictObject({
  kind: z.literal('solana_exact'),
  owner: address,
  feePayer: address,
  payTo: address,
  mint: address,
  tokenProgram: z.enum([TOKEN_PROGRAM, TOKEN_2022_PROGRAM]),
  amount: z.string(),
  decimals: z.int(),
  memo: z.string(),
  blockhash: address,
  unitLimit: z.int(),
  unitPrice: z.int().max(MAX_UNIT_PRICE),
})

const SIGN_IN = signInRequest(address, /^solana:[1-9A-HJ-NP-Za-km-z]{32}$/)

/** To the worker: sign these. */
export const SOLANA_SIGN_REQUEST = z.strictObject({
  type: z.literal('sign'),
  id: z.int(),
  messages: z
    .array(z.union([PAYMENT, SIGN_IN]))
    .min(1)
    .max(MAX_BATCH),
})
