/** What the signer and its worker say to each other. Both sides check what they get. */
import { z } from 'zod'

const address = z.string().regex(/^0x[0-9a-fA-F]{40}$/)
const uint256 = z.string().regex(/^(?:0|[1-9]\d{0,77})$/)

/** An EIP-3009 authorization with its domain, and nothing else: no other kind of data gets signed. */
const TYPED_AUTHORIZATION = z.strictObject({
  domain: z.strictObject({
    name: z.string().min(1),
    version: z.string().min(1),
    chainId: z.int().min(1),
    verifyingContract: address,
  }),
  message: z.strictObject({
    from: address,
    to: address,
    value: uint256,
    validAfter: uint256,
    validBefore: uint256,
    nonce: z.string().regex(/^0x[0-9a-fA-F]{64}$/),
  }),
})

/** To the worker: sign this. */
export const SIGN_REQUEST = z.strictObject({
  type: z.literal('sign'),
  id: z.int(),
  typed: TYPED_AUTHORIZATION,
})

/** To the worker, at its start: where the key is. */
export const WORKER_DATA = z.strictObject({
  key: z.discriminatedUnion('source', [
    z.strictObject({ source: z.literal('env'), name: z.string().min(1) }),
    z.strictObject({ source: z.literal('file'), path: z.string().min(1) }),
  ]),
})

const hex = z.templateLiteral(['0x', z.string()])

/** From the worker. `reason` and `fault` are fixed words of ours: nothing a library said about a key leaves the worker. */
export const WORKER_MESSAGE = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('ready'), address }),
  z.strictObject({ type: z.literal('fault'), fault: z.string() }),
  z.strictObject({ type: z.literal('signed'), id: z.int(), signature: hex }),
  z.strictObject({ type: z.literal('refused'), id: z.int(), reason: z.string() }),
])

export type WorkerMessage = z.output<typeof WORKER_MESSAGE>
